"""Launches of convolutions: which kernel, which tiles, in how many splits."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivers.kernels.gpu.infer import finishing, layout
from drivers.kernels.gpu.infer.finishing import Keep, address, single
from drivers.kernels.gpu.infer.memory import View, padded
from drivers.kernels.gpu.infer.packing import (
    bundle,
    list_taps,
    pack_depthwise,
    pack_rows,
    spread,
    unit_of,
)
from drivers.kernels.gpu.infer.schedule import Launch, Record
from drivers.kernels.gpu.infer.target import InferGpu, Tile
from drivers.kernels.infer.geometry import as_planes
from drivers.kernels.infer.layers import Convolution, Plan, Window

#: Pixels of the target up to which a layer's time is that of reading its weights.
DENSE_PIXELS = 2
#: Stages that a split is worth.
SPLIT_STAGES = 4
#: Of the third dimension of a grid.
MOST_GROUPS_Z = 65535
OUTSIDE_BYTES = 16
FINISH_SPLITS = "finish_splits"


def launch_convolution(
    plan: Plan, views: dict[int, View], layer: Convolution, gpu: InferGpu, keep: Keep
) -> list[Launch]:
    """Raises `NotSupported` for windows beyond the kernels' bounds."""
    channels = plan.tensors[layer.source].shape[1]
    if layer.groups == channels == layer.weight.shape[0] > 1:
        return [_launch_depthwise(plan, views, layer, keep)]
    return _Products(plan, views, layer, gpu, keep).launches()


def fill_image(image: Any, plan: Plan, view: View, source: int, target: int, window: Window) -> int:
    """Returns the number of pixels of the target."""
    _, _, height, width = as_planes(plan.tensors[source].shape)
    n, _, out_height, out_width = as_planes(plan.tensors[target].shape)
    image["height"], image["width"] = height, width
    image["out_height"], image["out_width"] = out_height, out_width
    image["stride_y"], image["stride_x"] = window.strides
    image["pad_y"], image["pad_x"] = window.padding[:2]
    image["pixels"], image["stride"] = n * out_height * out_width, view.stride
    return n * out_height * out_width


class _Products:
    """A convolution as a product of matrices."""

    def __init__(
        self, plan: Plan, views: dict[int, View], layer: Convolution, gpu: InferGpu, keep: Keep
    ) -> None:
        self.plan, self.views, self.layer, self.gpu, self.keep = plan, views, layer, gpu, keep
        self.view = views[layer.source]
        channels = as_planes(plan.tensors[layer.source].shape)[1]
        out, each_in = layer.weight.shape[:2]
        each_out = out // layer.groups
        self.bundles = bundle(layer.groups, each_in, each_out, self.view.is_narrow)
        whole = self.bundles.count == 1
        self.unit = unit_of(self.view.is_narrow)
        self.padded_in = padded(channels, self.unit) if whole else self.bundles.channels_in
        self.rows = padded(self.bundles.channels_out, 32)
        taps = layer.window.size[0] * layer.window.size[1]
        self.chunks = padded(taps * self.padded_in, 32) // 16
        self.record: Record = np.zeros(1, layout.CONVOLUTION)
        self.pixels = fill_image(
            self.record["image"], plan, self.view, layer.source, layer.target, layer.window
        )

    def launches(self) -> list[Launch]:
        is_dense = self.pixels <= DENSE_PIXELS and self.bundles.count == 1 and self.unit == 16
        self._fill(None if is_dense else self.gpu.target.channel_order())
        if is_dense:
            groups = (padded(self.bundles.channels_out, 8) // 8, self.pixels, 1)
            return [Launch("dense", groups, layout.LANES, layout.DENSE_SHARED_BYTES, self.record)]
        tiles = self._launch_tiles()
        if self.record["splits"][0] == 1 or not self.gpu.target.finishes_apart:
            return [tiles]
        channels = self.bundles.count * padded(self.bundles.channels_out, 8)
        return [tiles, launch_planes(FINISH_SPLITS, self.record, self.pixels, channels)]

    def _launch_tiles(self) -> Launch:
        target = self.gpu.target
        tile = target.first if self.unit == 4 else self._choose_tile()
        across, down = self._groups(tile)
        splits, chunks = self._split(across * down * self.bundles.count)
        self.record["splits"], self.record["split_chunks"] = splits, chunks
        groups = (across, down, self.bundles.count * splits)
        return Launch(tile.name, groups, tile.lanes, target.shared_bytes(tile), self.record)

    def _choose_tile(self) -> Tile:
        """The largest that gives every multiprocessor work, and wastes no half of it."""
        tiles = self.gpu.target.tiles
        for tile in tiles[:-1]:
            across, down = self._groups(tile)
            fits = self.rows > tile.columns // 2 or tile.columns == 64
            if fits and across * down * self.bundles.count >= self.gpu.units:
                return tile
        return tiles[-1]

    def _groups(self, tile: Tile) -> tuple[int, int]:
        return -(-self.pixels // tile.rows), -(-self.rows // tile.columns)

    def _split(self, groups: int) -> tuple[int, int]:
        """Into how many parts the sums are split, and how many chunks each has."""
        stage = self.gpu.target.depth // 16
        most = max(1, self.chunks // (SPLIT_STAGES * stage))
        wanted = min(most, self.gpu.units // groups, MOST_GROUPS_Z // self.bundles.count)
        chunks = padded(-(-self.chunks // max(1, wanted)), stage)
        return -(-self.chunks // chunks), chunks

    def _fill(self, order: list[int] | None) -> None:
        layer, record, tensors = self.layer, self.record, self.plan.tensors
        finish, source = record["finish"], tensors[layer.source]
        finishing.fill_target(finish, self.plan, self.views, layer.target)
        if self.bundles.count > 1 and self.bundles.channels_out % 8:
            finish["wide"] = 0
        finishing.fill_rescale(finish, layer.rescale, self.bundles, self.keep)
        finishing.fill_residual(finish, self.plan, self.views, layer.residual)
        weight = spread(layer.weight, self.bundles, self.padded_in)
        sums = layer.weight.sum(axis=(1, 2, 3), dtype=np.int64)
        low = source.zero - (128 if self.gpu.target.flips else 0)
        finishing.fill_bias(finish, layer.bias - low * sums, self.bundles, self.keep)
        outside = np.full(OUTSIDE_BYTES, source.zero, np.uint8)
        width = as_planes(source.shape)[3]
        units = self.chunks * (16 // self.unit)
        taps = list_taps(layer.window, width, self.view.stride, self.padded_in, self.unit, units)
        record["source"] = address(self.view)
        record["outside"], record["taps"] = self.keep(outside), self.keep(taps)
        record["weights"] = self.keep(pack_rows(weight, order))
        record["rows"], record["chunks"] = self.rows, self.chunks
        record["bundle_in"] = self.bundles.channels_in if self.bundles.count > 1 else 0
        record["bundle_out"] = self.bundles.channels_out
        record["splits"], record["split_chunks"] = 1, self.chunks


def _launch_depthwise(plan: Plan, views: dict[int, View], layer: Convolution, keep: Keep) -> Launch:
    record: Record = np.zeros(1, layout.DEPTHWISE)
    view, out = views[layer.source], layer.weight.shape[0]
    pixels = fill_image(record["image"], plan, view, layer.source, layer.target, layer.window)
    finish = record["finish"]
    finishing.fill_target(finish, plan, views, layer.target)
    finishing.fill_rescale(finish, layer.rescale, single(out), keep)
    finishing.fill_residual(finish, plan, views, layer.residual)
    finishing.fill_bias(finish, layer.bias.astype(np.int64), single(out), keep)
    record["source"] = address(view)
    record["weights"] = keep(pack_depthwise(layer.weight))
    record["rows"], record["columns"] = layer.window.size
    record["dilation_y"], record["dilation_x"] = layer.window.dilation
    record["zero"] = plan.tensors[layer.source].zero
    return launch_planes("depthwise", record, pixels, out)


def launch_planes(kernel: str, record: Record, pixels: int, channels: int) -> Launch:
    """Of a kernel whose lanes have eight channels of a pixel each."""
    lanes = pixels * -(-channels // 8)
    return Launch(kernel, (max(1, -(-lanes // layout.LANES)), 1, 1), layout.LANES, 0, record)


def partial_bytes(launch: Launch) -> tuple[int, int]:
    """Bytes of sums and of tickets that the splits of a launch take."""
    record = launch.record
    if launch.kernel == FINISH_SPLITS or "splits" not in (record.dtype.names or ()):
        return 0, 0
    splits = int(record["splits"][0])
    if splits == 1:
        return 0, 0
    across, down, deep = launch.groups
    bundles = deep // splits
    words = int(record["image"]["pixels"][0]) * int(record["rows"][0]) * bundles
    return 4 * words, 4 * across * down * bundles
