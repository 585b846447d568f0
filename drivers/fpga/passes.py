"""How a layer is cut into passes that fit the core's buffers.

The core reads features from its buffer by offsets, so windows are never written out: the host
stores each padded plane once (split by the phases of the strides), and step k of a convolution
reads the bytes from position + offset[k] on. Positions run through the plane's rows without a
gap; what falls between an output's rows is computed and left out by the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.fpga.layers import Geometry, Layer
from drivers.fpga.memory_layout import CHANNELS, ROWS


@dataclass(frozen=True)
class Buffers:
    """Sizes that the core tells of itself."""

    feature_bytes: int
    steps: int


@dataclass(frozen=True)
class Plane:
    """A padded channel as it lies in memory: phase by phase, each of ``rows`` × ``pitch``."""

    phases: tuple[tuple[int, int], ...]
    """Row and column modulo the strides; only those that some tap reads."""
    pitch: int
    reach: int
    """Rows that the window needs below an output row, in its phase."""

    def bytes_of(self, output_rows: int) -> int:
        return len(self.phases) * (output_rows + self.reach) * self.pitch


@dataclass(frozen=True)
class Block:
    """Filters with the channels they read: one group, or several small ones as one, with zeros
    between them."""

    first_channel: int
    channels: int
    first_filter: int
    weights: NDArray[np.int8]
    """(filters, channels, kernel rows, kernel columns)"""


@dataclass(frozen=True)
class Pass:
    """One descriptor: a block of filters over some channels and rows of one image."""

    image: int
    first_row: int
    rows: int
    """Output rows."""
    block: int
    first_channel: int
    """Of the block's."""
    channels: int


@dataclass(frozen=True)
class Plan:
    """All passes of a layer. Parts over several channel ranges are summed by the host."""

    geometry: Geometry
    plane: Plane
    blocks: tuple[Block, ...]
    passes: tuple[Pass, ...]
    is_split: bool
    """Sums come in parts."""

    def positions(self, rows: int) -> int:
        return (rows - 1) * self.plane.pitch + self.geometry.output.columns

    def position_tiles(self, rows: int) -> int:
        return -(-self.positions(rows) // ROWS)

    def offsets(self, one: Pass) -> NDArray[np.uint32]:
        """(steps,): channel, kernel row, kernel column, the last fastest."""
        g, plane = self.geometry, self.plane
        size = (one.rows + plane.reach) * plane.pitch
        taps = [
            plane.phases.index((i % g.strides.rows, j % g.strides.columns)) * size
            + i // g.strides.rows * plane.pitch
            + j // g.strides.columns
            for i, j in _taps(g)
        ]
        channel = np.arange(one.channels, dtype=np.uint32) * np.uint32(len(plane.phases) * size)
        return (channel[:, None] + np.array(taps, np.uint32)[None, :]).reshape(-1)

    def steps(self, one: Pass) -> int:
        return one.channels * self.geometry.kernel.rows * self.geometry.kernel.columns

    def bias(self, one: Pass, bias: NDArray[np.int32]) -> NDArray[np.int32]:
        """(filters,) of a pass, from the layer's; of sums in parts, the first part has it."""
        block = self.blocks[one.block]
        own = bias[block.first_filter : block.first_filter + len(block.weights)]
        return own if one.first_channel == 0 else own * 0

    def weights(self, one: Pass) -> NDArray[np.int8]:
        """(filters, steps)"""
        block = self.blocks[one.block]
        taken = block.weights[:, one.first_channel : one.first_channel + one.channels]
        return taken.reshape(len(taken), -1)

    def features(self, planes: NDArray[np.int8], one: Pass) -> NDArray[np.int8]:
        """The block of features of a pass, flat, from (images, channels, height, width)."""
        g, plane = self.geometry, self.plane
        first = self.blocks[one.block].first_channel + one.first_channel
        rows = one.rows + plane.reach
        shape = (one.channels, rows * g.strides.rows, plane.pitch * g.strides.columns)
        padded = np.zeros(shape, np.int8)
        top = one.first_row * g.strides.rows - g.padding.rows
        down, right = max(-top, 0), g.padding.columns
        height, width = max(shape[1] - down, 0), max(shape[2] - right, 0)
        row = max(top, 0)
        channels = slice(first, first + one.channels)
        taken = planes[one.image, channels, row : row + height, :width]
        padded[:, down : down + taken.shape[1], right : right + taken.shape[2]] = taken
        parts = [padded[:, i :: g.strides.rows, j :: g.strides.columns] for i, j in plane.phases]
        return np.stack(parts, axis=1).reshape(-1)

    def place(self, output: NDArray[np.int32], sums: NDArray[np.int32], one: Pass) -> None:
        """Add a pass's (filters, positions) into (images, filters, rows, columns)."""
        block, pitch = self.blocks[one.block], self.plane.pitch
        filters = len(block.weights)
        whole = np.zeros((filters, one.rows * pitch), np.int32)
        count = min(whole.shape[1], sums.shape[1])
        whole[:, :count] = sums[:filters, :count]
        columns = self.geometry.output.columns
        kept = whole.reshape(filters, one.rows, pitch)[:, :, :columns]
        to = output[one.image, block.first_filter : block.first_filter + filters]
        to[:, one.first_row : one.first_row + one.rows] += kept


def plan_layer(layer: Layer, buffers: Buffers) -> Plan | None:
    """None if not even one row of one channel fits."""
    g = layer.geometry
    plane, blocks = _plane(g), tuple(_blocks(g, layer.weights))
    taps = g.kernel.rows * g.kernel.columns
    room = buffers.feature_bytes
    wanted = blocks[0].channels
    channels = min(wanted, buffers.steps // taps, room // plane.bytes_of(1))
    if channels < 1:
        return None
    per_row = channels * len(plane.phases) * plane.pitch
    rows = min(g.output.rows, room // per_row - plane.reach)
    passes = tuple(
        Pass(image, row, min(rows, g.output.rows - row), block, channel, min(channels, left))
        for image in range(g.images)
        for row in range(0, g.output.rows, rows)
        for block in range(len(blocks))
        for channel in range(0, wanted, channels)
        for left in (blocks[block].channels - channel,)
        if left > 0
    )
    return Plan(g, plane, blocks, passes, channels < wanted)


def _taps(g: Geometry) -> Iterator[tuple[int, int]]:
    for i in range(g.kernel.rows):
        for j in range(g.kernel.columns):
            yield i * g.dilation.rows, j * g.dilation.columns


def _plane(g: Geometry) -> Plane:
    phases = {(i % g.strides.rows, j % g.strides.columns) for i, j in _taps(g)}
    reach = max(i // g.strides.rows for i, _ in _taps(g))
    beyond = max(j // g.strides.columns for _, j in _taps(g))
    return Plane(tuple(sorted(phases)), g.output.columns + beyond, reach)


def _blocks(g: Geometry, weights: NDArray[np.int8]) -> Iterator[Block]:
    """Groups, as many in one block as fill a tile of filters."""
    filters, channels = g.filters // g.groups, g.channels // g.groups
    together = max(1, CHANNELS // filters)
    for first in range(0, g.groups, together):
        count = min(together, g.groups - first)
        merged = np.zeros((count * filters, count * channels, *weights.shape[2:]), np.int8)
        for k in range(count):
            own = weights[(first + k) * filters : (first + k + 1) * filters]
            merged[k * filters : (k + 1) * filters, k * channels : (k + 1) * channels] = own
        yield Block(first * channels, count * channels, first * filters, merged)
