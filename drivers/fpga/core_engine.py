"""The Verilog core as an engine: layers with their constants in the board's memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DeviceLost, DriverError
from drivers.fpga.board import Board, Buffer, Place
from drivers.fpga.core_registers import LAYER_SECONDS, Core, Counters
from drivers.fpga.layers import Layer
from drivers.fpga.memory_layout import (
    DESCRIPTOR_BYTES,
    Descriptor,
    decode_output,
    encode_numbers,
    encode_weights,
    output_bytes,
    pad_to_burst,
)
from drivers.fpga.passes import Pass, Plan, plan_layer
from drivers.fpga.requantisation import Requantisation


class CoreEngine:
    """An open board with the core. Raises what `Board` and `Core` raise."""

    def __init__(self, place: Place, layer_seconds: float = LAYER_SECONDS) -> None:
        self.board = Board(place)
        try:
            self.core = Core(self.board, layer_seconds)
        except DriverError:
            self.board.close()
            raise

    def load(self, layer: Layer) -> CoreLayer | None:
        plan = plan_layer(layer, self.core.info.buffers)
        return CoreLayer(self.core, layer, plan) if plan else None

    def close(self) -> None:
        self.board.close()


class CoreLayer:
    """Three buffers of the board: constants (descriptors, offsets, weights), features, output."""

    def __init__(self, core: Core, layer: Layer, plan: Plan) -> None:
        self._core, self._board, self.layer, self._plan = core, core.board, layer, plan
        self.counters: Counters | None = None
        self._requantisation = Requantisation() if plan.is_split else layer.requantisation
        self._feature_sizes = [self._feature_bytes(one) for one in plan.passes]
        self._output_sizes = [self._output_bytes(one) for one in plan.passes]
        self._features = self._board.allocate(sum(self._feature_sizes))
        self._output = self._board.allocate(sum(self._output_sizes))
        self._constants = self._store_constants()
        for buffer in self._buffers():
            if buffer.address % 128:
                raise DeviceLost(f"the board gave memory at {buffer.address:#x}, not aligned")

    def run(self, value: NDArray[np.int32]) -> NDArray[np.int32]:
        """See `drivers.fpga.engine.EngineLayer`."""
        plan, planes = self._plan, self.layer.to_planes(value).astype(np.int8)
        blocks = (
            pad_to_burst(encode_numbers(plan.features(planes, one), self.layer.packs_features))
            for one in plan.passes
        )
        self._board.store(self._features, b"".join(blocks))
        self.counters = self._core.run(self._constants.address)
        return self._collect(self._board.fetch(self._output))

    def free(self) -> None:
        for buffer in self._buffers():
            self._board.free(buffer)

    def _buffers(self) -> tuple[Buffer, ...]:
        return self._features, self._output, self._constants

    def _collect(self, content: bytes) -> NDArray[np.int32]:
        plan, g = self._plan, self._plan.geometry
        output = np.zeros((g.images, g.filters, g.output.rows, g.output.columns), np.int32)
        start = 0
        for one, size in zip(plan.passes, self._output_sizes, strict=True):
            tiles = (self._channel_tiles(one), plan.position_tiles(one.rows))
            part = content[start : start + size]
            plan.place(output, decode_output(part, *tiles, self._requantisation.is_wide), one)
            start += size
        if plan.is_split:
            output = self.layer.requantisation.apply(output)
        return self.layer.from_planes(output)

    def _store_constants(self) -> Buffer:
        """Descriptors first, then each distinct table of offsets and each block of weights."""
        pieces, places = bytearray(len(self._plan.passes) * DESCRIPTOR_BYTES), {}
        tile_bytes: dict[object, int] = {}
        for one in self._plan.passes:
            key = _offsets_key(one)
            if key not in places:
                places[key] = len(pieces)
                pieces += pad_to_burst(self._plan.offsets(one).astype("<u4").tobytes())
            key = _weights_key(one)
            if key not in places:
                places[key] = len(pieces)
                encoded, tile_bytes[key] = self._encode_weights(one)
                pieces += encoded
        buffer = self._board.allocate(len(pieces))
        at = {key: buffer.address + place for key, place in places.items()}
        pieces[: len(self._plan.passes) * DESCRIPTOR_BYTES] = self._descriptors(at, tile_bytes)
        self._board.store(buffer, bytes(pieces))
        return buffer

    def _descriptors(self, at: dict[object, int], tile_bytes: dict[object, int]) -> bytes:
        encoded, features, output = b"", self._features.address, self._output.address
        table: object = None
        for number, one in enumerate(self._plan.passes):
            offsets, weights = _offsets_key(one), _weights_key(one)
            descriptor = Descriptor(
                features=features,
                feature_bytes=self._feature_sizes[number],
                offsets=0 if offsets == table else at[offsets],
                steps=self._plan.steps(one),
                weights=at[weights],
                weight_bytes=tile_bytes[weights],
                channel_tiles=self._channel_tiles(one),
                position_tiles=self._plan.position_tiles(one.rows),
                output=output,
                shift_bits=self._requantisation.shift_bits,
                lowest=self._requantisation.lowest,
                highest=self._requantisation.highest,
                packs_features=self.layer.packs_features,
                packs_weights=self.layer.packs_weights,
                is_wide=self._requantisation.is_wide,
            )
            encoded += descriptor.encode(is_last=number == len(self._plan.passes) - 1)
            features += self._feature_sizes[number]
            output += self._output_sizes[number]
            table = offsets
        return encoded

    def _encode_weights(self, one: Pass) -> tuple[bytes, int]:
        bias = self._plan.bias(one, self.layer.bias)
        return encode_weights(self._plan.weights(one), bias, self.layer.packs_weights)

    def _channel_tiles(self, one: Pass) -> int:
        return -(-len(self._plan.blocks[one.block].weights) // 16)

    def _feature_bytes(self, one: Pass) -> int:
        count = one.channels * self._plan.plane.bytes_of(one.rows)
        words = -(-count // 16)
        return -(-words * (12 if self.layer.packs_features else 16) // 128) * 128

    def _output_bytes(self, one: Pass) -> int:
        tiles = (self._channel_tiles(one), self._plan.position_tiles(one.rows))
        return output_bytes(*tiles, self._requantisation.is_wide)


def _offsets_key(one: Pass) -> object:
    return "offsets", one.rows, one.channels


def _weights_key(one: Pass) -> object:
    return "weights", one.block, one.first_channel
