"""Numbers as the core reads them from memory, and results as it writes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROWS = 16
"""Positions of a tile."""
CHANNELS = 16
"""Filters of a tile."""
BURST_BYTES = 128
DESCRIPTOR_BYTES = 128
MAGIC = 0x4643_0001

_LOADS_FEATURES, _LOADS_OFFSETS, _PACKED_FEATURES, _PACKED_WEIGHTS, _WIDE, _LAST = (
    1 << bit for bit in range(6)
)


@dataclass(frozen=True)
class Descriptor:
    """One pass of the core over one block of features. Addresses are multiples of 128."""

    features: int
    """Address."""
    feature_bytes: int
    offsets: int
    """Address; 0 keeps those that are there."""
    steps: int
    weights: int
    """Address."""
    weight_bytes: int
    """Of one tile of filters."""
    channel_tiles: int
    position_tiles: int
    output: int
    """Address."""
    shift_bits: int
    lowest: int
    highest: int
    packs_features: bool
    packs_weights: bool
    is_wide: bool

    def encode(self, is_last: bool) -> bytes:
        """128 bytes; the words are those of ``core/sequencer.v``."""
        flags = (
            _LOADS_FEATURES
            | _LOADS_OFFSETS * bool(self.offsets)
            | _PACKED_FEATURES * self.packs_features
            | _PACKED_WEIGHTS * self.packs_weights
            | _WIDE * self.is_wide
            | _LAST * is_last
        )
        words = (
            flags,
            *(self.features, self.feature_bytes // BURST_BYTES, self.offsets, self.steps),
            *(self.weights, self.channel_tiles, self.position_tiles, 0, self.output),
            *(self.shift_bits, self.lowest & 0xFFFF_FFFF, self.highest & 0xFFFF_FFFF),
            *(self.weight_bytes // BURST_BYTES, 0, MAGIC),
        )
        return np.array(words, "<u4").tobytes().ljust(DESCRIPTOR_BYTES, b"\0")


def pad_to_burst(content: bytes) -> bytes:
    return content + bytes(-len(content) % BURST_BYTES)


def encode_numbers(values: NDArray[np.int8], packs_six: bool) -> bytes:
    """Bytes as they are, or six bits each, the first in the lowest; whole 16s."""
    flat = np.ascontiguousarray(values).reshape(-1)
    flat = np.concatenate([flat, np.zeros(-flat.size % ROWS, np.int8)])
    if not packs_six:
        return flat.tobytes()
    four = (flat.astype(np.uint32) & 63).reshape(-1, 4) << np.array([0, 6, 12, 18], np.uint32)
    word = four.sum(axis=1, dtype=np.uint32).astype("<u4")
    return np.ascontiguousarray(word.view(np.uint8).reshape(-1, 4)[:, :3]).tobytes()


def tile_weights(
    weights: NDArray[np.int8], bias: NDArray[np.int32]
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """(tiles, steps, 16) and (tiles, 16) from (filters, steps) and (filters,); zeros where the
    last tile has no filters."""
    tiles = -(-len(weights) // CHANNELS)
    rows = np.zeros((tiles * CHANNELS, weights.shape[1]), np.int8)
    rows[: len(weights)] = weights
    biases = np.zeros(tiles * CHANNELS, np.int32)
    biases[: len(bias)] = bias
    steps_first = rows.reshape(tiles, CHANNELS, -1).transpose(0, 2, 1)
    return np.ascontiguousarray(steps_first), biases.reshape(tiles, CHANNELS)


def encode_weights(
    weights: NDArray[np.int8], bias: NDArray[np.int32], packs_six: bool
) -> tuple[bytes, int]:
    """Of (filters, steps): tiles of 16 filters, each its biases and then step by step; and the
    bytes of one tile."""
    encoded = [
        pad_to_burst(biases.astype("<i4").tobytes() + encode_numbers(tile, packs_six))
        for tile, biases in zip(*tile_weights(weights, bias), strict=True)
    ]
    return b"".join(encoded), len(encoded[0])


def output_bytes(channel_tiles: int, position_tiles: int, is_wide: bool) -> int:
    return channel_tiles * position_tiles * CHANNELS * ROWS * (4 if is_wide else 1)


def decode_output(
    content: bytes, channel_tiles: int, position_tiles: int, is_wide: bool
) -> NDArray[np.int32]:
    """(filters, positions), whole tiles."""
    values = np.frombuffer(content, "<i4" if is_wide else "i1")
    tiles = values.reshape(channel_tiles, position_tiles, CHANNELS, ROWS)
    shape = (channel_tiles * CHANNELS, position_tiles * ROWS)
    return tiles.transpose(0, 2, 1, 3).reshape(shape).astype(np.int32)
