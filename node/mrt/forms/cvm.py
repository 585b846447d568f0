"""The official form: int8 values in ±127 and the 37 operators of the Cortex Virtual Machine.

With `Scaling.SHIFT` the scale of a layer's weights is chosen so that the product of scales differs
from the result's by a power of two, and ``cvm_right_shift`` alone brings a sum back. Where scales
meet that were not so chosen (adding, averaging, concatenating), an integer multiplier stands before
the shift. With `Scaling.MULTIPLIER` that is done for weights too, with one scale for each output
channel: more exact, and more operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from math import floor, log2, prod

import numpy as np

from node.mrt.errors import UnsupportedOperator
from node.mrt.forms.bias_correction import correct_bias
from node.mrt.forms.builder import Builder, Calibration, Target, Value
from node.mrt.forms.common_layers import COMMON, combine
from node.mrt.forms.extension import tabulate
from node.mrt.forms.numbers import (
    SHIFT_LIMIT,
    SIGNED_LIMIT,
    Wide,
    bits_for,
    limit_of_bits,
    multiply_for,
    quantise_weights,
    reach_of,
    round_bias,
    scale_channels,
)
from node.mrt.network import (
    Add,
    AveragePool,
    Convolution,
    Function,
    MaxPool,
    Network,
    Pad,
    Shape,
    Upsample,
    Weighted,
    Window,
)
from node.spec.cvm.writer import Entry

#: A sum of 16 bits times a multiplier of 15 fits 32.
_NARROW_PRECISION, _FACTOR_PRECISION = 16, 15
_FACTOR_LIMIT = limit_of_bits(_FACTOR_PRECISION)


class Scaling(StrEnum):
    """How a weighted layer comes back to 8 bits."""

    SHIFT = "shift"
    MULTIPLIER = "multiplier"


class CvmBuilder(Builder):
    extended = False

    def __init__(
        self,
        network: Network,
        calibration: Calibration,
        input_scale: float,
        weight_bits: int,
        scaling: Scaling,
    ) -> None:
        super().__init__(network, calibration, input_scale, weight_bits)
        self.scaling = scaling

    def shift(self, name: str, entry: Entry, bits: int, precision: int = 8) -> Entry:
        return self.writer.add(
            "cvm_right_shift", name, [entry], precision=precision, shift_bit=bits
        )

    def shift_down(self, name: str, entry: Entry, bits: int, target: Target) -> Value:
        shifted = self.shift(f"{name}_shifted", entry, bits)
        return Value(shifted, target.scale, -SIGNED_LIMIT, SIGNED_LIMIT)

    def rescale(self, name: str, value: Value, ratio: Wide, target: Target, axis: int = 1) -> Value:
        column = [1] * len(value.entry.shape)
        column[axis] = ratio.size
        return self.rescale_by(name, value, ratio.reshape(column), target)

    def rescale_by(self, name: str, value: Value, ratio: Wide, target: Target) -> Value:
        """Times a ratio that broadcasts against the value."""
        entry, bits = self._narrow(name, value, ratio)
        factors, point = multiply_for(name, ratio * 2.0**bits, _FACTOR_LIMIT)
        if point < 1:
            raise UnsupportedOperator("rescaling", name, "by so much needs more than 15 bits")
        factor = self.parameter(f"{name}_multiplier", factors, _FACTOR_PRECISION)
        product = self.writer.add("broadcast_mul", f"{name}_product", [entry, factor])
        return self.shift_down(name, product, point, target)

    def _narrow(self, name: str, value: Value, ratio: Wide) -> tuple[Entry, int]:
        """At most 16 bits, of those that matter; and how far it was shifted for them."""
        smallest = float(np.abs(ratio)[ratio != 0].min(initial=np.inf))
        reached = min(max(abs(value.low), abs(value.high)), (SIGNED_LIMIT + 1) / smallest)
        needed = max(bits_for(int(reached) + 1), _NARROW_PRECISION)
        entry = value.entry
        if entry.precision > needed:
            entry = self.writer.add("cvm_clip", f"{name}_clipped", [entry], precision=needed)
        bits = entry.precision - _NARROW_PRECISION
        if bits <= 0:
            return entry, 0
        return self.shift(f"{name}_narrowed", entry, bits, _NARROW_PRECISION), bits

    def weigh(
        self, layer: Weighted, source: Value, operator: str, details: Mapping[str, object]
    ) -> Value:
        target, limit = self.target(layer), limit_of_bits(self.weight_bits)
        bits = _shift_for(target.scale / source.scale, float(np.abs(layer.weight).max()), limit)
        shifted = self.scaling is Scaling.SHIFT and bits >= 1
        scale = scale_channels(layer, limit)
        if shifted:
            scale = np.full(len(scale), target.scale / source.scale / 2.0**bits)
        weights = quantise_weights(layer, scale, limit)
        unit = scale * source.scale
        real = correct_bias(layer, weights, self.calibration.means.get(layer.inputs[0]))
        operands = [
            source.entry,
            self.parameter(f"{layer.name}_weight", weights.values, self.weight_bits),
        ]
        if real is not None:
            bias = round_bias(real, len(unit), unit, layer.name)
            precision = bits_for(int(np.abs(bias).max()))
            operands.append(self.parameter(f"{layer.name}_bias", bias, precision))
        sums = self.writer.add(operator, layer.name, operands, use_bias=real is not None, **details)
        if shifted:
            return self.shift_down(layer.name, sums, bits, target)
        reach = reach_of(weights.rows(layer), source.low, source.high)
        reach += 0 if real is None else int(np.abs(bias).max())
        return self.rescale(
            layer.name, Value(sums, 1.0, -reach, reach), unit / target.scale, target
        )


def _shift_for(scale_ratio: float, largest_weight: float, limit: int) -> int:
    """Most bits to shift such that the largest weight still fits."""
    if largest_weight == 0:
        return 1
    return min(floor(log2(limit * scale_ratio / largest_weight)), SHIFT_LIMIT)


def write_convolution(builder: CvmBuilder, layer: Convolution) -> Value:
    count = len(layer.window.size)
    if count == 3:
        raise UnsupportedOperator(
            "Conv", layer.name, "in three dimensions exists in the extension form only"
        )
    source = _as_image(builder, f"{layer.name}_image", builder.source(layer))
    window = _as_image_window(layer.window)
    source, window = _pad_evenly(builder, layer.name, source, window)
    weight = layer.weight if count == 2 else layer.weight[:, :, None]
    flat = replace(layer, weight=weight)
    details = describe_window(window) | {"channels": len(weight), "groups": layer.groups}
    found = builder.weigh(flat, source, "conv2d", details)
    return builder.reshape(f"{layer.name}_shaped", found, layer.shape)


def describe_window(window: Window) -> dict[str, object]:
    return {
        "kernel_size": window.size,
        "strides": window.strides,
        "padding": window.before,
        "dilation": window.dilation,
    }


def _as_image(builder: CvmBuilder, name: str, value: Value) -> Value:
    """A line as an image of one row."""
    shape = value.entry.shape
    return builder.reshape(name, value, (*shape[:2], *(1,) * (4 - len(shape)), *shape[2:]))


def _as_image_window(window: Window) -> Window:
    if len(window.size) == 2:
        return window
    (size,), (stride,), (dilation,) = window.size, window.strides, window.dilation
    return Window(
        (1, size), (1, stride), (0, *window.before), (0, *window.after), (1, dilation), window.ceil
    )


def _pad_evenly(
    builder: CvmBuilder, name: str, value: Value, window: Window
) -> tuple[Value, Window]:
    """Padding that differs in front and behind becomes zeros in the image."""
    if window.before == window.after:
        return value, window
    none = (0,) * len(window.size)
    padded = pad(builder, name, value, (0, 0, *window.before), (0, 0, *window.after))
    return padded, replace(window, before=none, after=none)


def pad(builder: CvmBuilder, name: str, value: Value, before: Shape, after: Shape) -> Value:
    """Zeros around a value, by concatenation."""
    entry = value.entry
    for axis, lengths in enumerate(zip(before, after, strict=True)):
        parts: list[Entry] = [entry]
        for place, length in enumerate(lengths):
            if length:
                shape = (*entry.shape[:axis], length, *entry.shape[axis + 1 :])
                zeros = builder.parameter(
                    f"{name}_zeros_{axis}_{place}", np.zeros(shape, np.int32), 2
                )
                parts.insert(0 if place == 0 else len(parts), zeros)
        if len(parts) > 1:
            entry = builder.writer.add("concatenate", f"{name}_padded_{axis}", parts, axis=axis)
    return replace(value, entry=entry, low=min(value.low, 0), high=max(value.high, 0))


def write_pad(builder: CvmBuilder, layer: Pad) -> Value:
    return pad(builder, layer.name, builder.source(layer), layer.before, layer.after)


def write_max_pool(builder: CvmBuilder, layer: MaxPool) -> Value:
    if len(layer.window.size) == 3 or layer.window.before != layer.window.after:
        raise UnsupportedOperator(
            "MaxPool", layer.name, "so padded or in 3 dimensions exists in the extension form only"
        )
    window = _as_image_window(layer.window)
    source = _as_image(builder, f"{layer.name}_image", builder.source(layer))
    pooled = builder.writer.add(
        "max_pool2d", layer.name, [source.entry],
        pool_size=window.size, strides=window.strides, padding=window.before,
        ceil_mode=window.ceil,
    )  # fmt: skip
    return builder.reshape(f"{layer.name}_shaped", replace(source, entry=pooled), layer.shape)


def write_average_pool(builder: CvmBuilder, layer: AveragePool) -> Value:
    """As a convolution of each channel with ones, times one over what each window counts."""
    if len(layer.window.size) == 3 or layer.window.ceil:
        raise UnsupportedOperator(
            "AveragePool", layer.name, "with ceil_mode or in 3 dimensions: extension form only"
        )
    target = builder.target(layer)
    source = _as_image(builder, f"{layer.name}_image", builder.source(layer))
    counts = _count_terms(source.entry.shape, _as_image_window(layer.window), layer.counts_padding)
    source, window = _pad_evenly(builder, layer.name, source, _as_image_window(layer.window))
    channels, area = source.entry.shape[1], prod(window.size)
    ones = builder.parameter(f"{layer.name}_ones", np.ones((channels, 1, *window.size)), 2)
    sums = builder.writer.add(
        "conv2d", layer.name, [source.entry, ones], use_bias=False,
        channels=channels, groups=channels, **describe_window(window),
    )  # fmt: skip
    total = Value(sums, source.scale, source.low * area, source.high * area)
    ratio = source.scale / target.scale / counts
    found = builder.rescale_by(layer.name, total, ratio, target)
    return builder.reshape(f"{layer.name}_shaped", found, layer.shape)


def _count_terms(shape: Shape, window: Window, counts_padding: bool) -> Wide:
    """By how much each position's sum is divided; broadcasts against (n, c, rows, columns)."""
    if counts_padding:
        return np.full((1, 1, 1, 1), float(prod(window.size)))
    lines = []
    for size, kernel, stride, before, after in zip(
        shape[2:], window.size, window.strides, window.before, window.after, strict=True
    ):
        inside = np.zeros(before + size + after)
        inside[before : before + size] = 1
        views = np.lib.stride_tricks.sliding_window_view(inside, kernel)[::stride]
        lines.append(views.sum(axis=1))
    counts: Wide = np.multiply.outer(lines[0], lines[1])[None, None]
    return counts


def write_add(builder: CvmBuilder, layer: Add) -> Value:
    """Both operands times a multiplier, added, then shifted once."""
    target = builder.target(layer)
    rank = len(layer.shape)
    terms = []
    for index, sign in enumerate(layer.signs):
        operand = builder.source(layer, index)
        shape = (1,) * (rank - len(operand.entry.shape)) + operand.entry.shape
        operand = builder.reshape(f"{layer.name}_{index}_ranked", operand, shape)
        terms.append((operand.entry, np.array([sign * operand.scale / target.scale])))
    return combine(builder, layer, terms, target)


def write_function(builder: CvmBuilder, layer: Function) -> Value:
    """A table by the value plus 127."""
    source, target = builder.source(layer), builder.target(layer)
    integers = np.arange(-SIGNED_LIMIT, SIGNED_LIMIT + 1, dtype=np.float64)
    entries = tabulate(layer, integers * source.scale, target)
    table = builder.parameter(f"{layer.name}_table", entries, 8)
    offset = builder.parameter(f"{layer.name}_zero", np.array([SIGNED_LIMIT]), 8)
    index = builder.writer.add("broadcast_add", f"{layer.name}_index", [source.entry, offset])
    entry = builder.writer.add("cvm_lut", layer.name, [index, table], in_dim=len(entries))
    return Value(entry, target.scale, target.low, target.high)


def write_upsample(builder: CvmBuilder, layer: Upsample) -> Value:
    if layer.linear:
        raise UnsupportedOperator(
            "Resize", layer.name, "by linear exists in the extension form only"
        )
    return repeat_space(builder, layer)


def repeat_space(builder: Builder, layer: Upsample) -> Value:
    """Each element as often as its factor says."""
    value = builder.source(layer)
    entry = value.entry
    for axis, factor in enumerate(layer.factors, 2):
        if factor > 1:
            name = f"{layer.name}_{axis}"
            entry = builder.writer.add("repeat", name, [entry], repeats=factor, axis=axis)
    return replace(value, entry=entry)


CvmBuilder.layers = {
    **COMMON,
    Add: write_add,
    AveragePool: write_average_pool,
    Convolution: write_convolution,
    Function: write_function,
    MaxPool: write_max_pool,
    Pad: write_pad,
    Upsample: write_upsample,
}
