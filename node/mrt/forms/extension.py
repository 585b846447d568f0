"""The extension form: bytes 0…255 after a ReLU, one multiplier of 15 bits for each channel.

A weighted layer is ``conv2d`` → ``requantise``, a residual sum one ``scaled_add``; a ReLU behind
either is its lower bound. Operators: docs/operators.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from node.mrt.forms.bias_correction import correct_bias
from node.mrt.forms.builder import Builder, Target, Value
from node.mrt.forms.common_layers import COMMON
from node.mrt.forms.numbers import (
    UNSIGNED_LIMIT,
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
    Concatenate,
    Convolution,
    Function,
    Layer,
    MaxPool,
    Weighted,
    Window,
)
from node.spec.cvm.writer import Entry

#: Bits of a sum that meets a multiplier: 15 beside the sign.
_NARROW_PRECISION = 16


class ExtensionBuilder(Builder):
    extended = True

    def rescale(self, name: str, value: Value, ratio: Wide, target: Target, axis: int = 1) -> Value:
        entry, shift = self._narrow(name, value, ratio, target)
        multiplier, point = multiply_for(name, ratio * 2.0**shift)
        return self._requantise(name, entry, multiplier, shift, point, axis, target)

    def shift_down(self, name: str, entry: Entry, bits: int, target: Target) -> Value:
        return self._requantise(name, entry, np.array([1]), 0, bits, 0, target)

    def _requantise(
        self, name: str, entry: Entry, multiplier: Any, before: int, shift: int, axis: int,
        target: Target,
    ) -> Value:  # fmt: skip
        precision = bits_for(int(np.abs(multiplier).max()))
        requantised = self.writer.add(
            "requantise",
            f"{name}_requantised",
            [entry, self.parameter(f"{name}_multiplier", multiplier, precision)],
            axis=axis, pre_shift=before, shift=shift, low=target.low, high=target.high,
        )  # fmt: skip
        return Value(requantised, target.scale, target.low, target.high)

    def _narrow(self, name: str, value: Value, ratio: Wide, target: Target) -> tuple[Entry, int]:
        """The sum with no more bits than can matter, and how far it must be shifted."""
        precision = _needed_precision(value, ratio, target)
        entry = value.entry
        if entry.precision > precision:
            entry = self.writer.add("cvm_clip", f"{name}_clipped", [entry], precision=precision)
        return entry, max(0, entry.precision - _NARROW_PRECISION)

    def weigh(
        self, layer: Weighted, source: Value, operator: str, details: Mapping[str, object]
    ) -> Value:
        """Sums of products and bias, brought back by one multiplier a channel."""
        target, limit = self.target(layer), limit_of_bits(self.weight_bits)
        weights = quantise_weights(layer, scale_channels(layer, limit), limit)
        unit = weights.scale * source.scale
        ratio = unit / target.scale
        real = correct_bias(layer, weights, self.calibration.means.get(layer.inputs[0]))
        bias = round_bias(real, len(unit), unit, layer.name)
        reach = reach_of(weights.rows(layer), source.low, source.high)
        reach += int(np.abs(bias).max()) + 1
        total = Value(source.entry, 1.0, -reach, reach)
        shift = _needed_precision(total, ratio, target) - _NARROW_PRECISION
        if shift > 0:
            bias += 1 << (shift - 1)  # so that the narrowing shift rounds half up
        operands = [
            source.entry,
            self.parameter(f"{layer.name}_weight", weights.values, self.weight_bits),
            self.parameter(f"{layer.name}_bias", bias, bits_for(int(np.abs(bias).max()))),
        ]
        sums = self.writer.add(operator, layer.name, operands, use_bias=True, **details)
        reach += 1 << max(shift, 0)
        return self.rescale(layer.name, Value(sums, 1.0, -reach, reach), ratio, target)


def _needed_precision(value: Value, ratio: Wide, target: Target) -> int:
    """Of sums beyond which the result is clipped, or which cannot be."""
    smallest = float(np.abs(ratio)[ratio != 0].min(initial=np.inf))
    most = max(abs(target.low), abs(target.high)) + 1
    reached = max(abs(value.low), abs(value.high))
    return max(bits_for(int(min(reached, most / smallest)) + 1), _NARROW_PRECISION)


def write_convolution(builder: ExtensionBuilder, layer: Convolution) -> Value:
    details = describe_window("kernel_size", layer.window)
    details |= {"channels": len(layer.weight), "groups": layer.groups}
    details["dilation"] = layer.window.dilation
    return builder.weigh(layer, builder.source(layer), f"conv{len(layer.window.size)}d", details)


def write_max_pool(builder: ExtensionBuilder, layer: MaxPool) -> Value:
    return _write_pool(builder, layer, layer.window, "max_pool", {})


def write_average_pool(builder: ExtensionBuilder, layer: AveragePool) -> Value:
    counts = {"count_include_pad": layer.counts_padding}
    return _write_pool(builder, layer, layer.window, "avg_pool", counts)


def _write_pool(
    builder: ExtensionBuilder,
    layer: Layer,
    window: Window,
    operator: str,
    details: Mapping[str, object],
) -> Value:
    source = builder.source(layer)
    pooled = builder.writer.add(
        f"{operator}{len(window.size)}d", layer.name, [source.entry],
        **describe_window("pool_size", window), ceil_mode=window.ceil, **details,
    )  # fmt: skip
    return Value(pooled, source.scale, source.low, source.high)


def write_add(builder: ExtensionBuilder, layer: Add) -> Value:
    target = builder.target(layer)
    operands = [_broadcast(builder, layer, index) for index in (0, 1)]
    ratios = [
        sign * operand.scale / target.scale
        for sign, operand in zip(layer.signs, operands, strict=True)
    ]
    (own, theirs), shift = multiply_for(layer.name, np.array(ratios))
    added = builder.writer.add(
        "scaled_add", layer.name, [operand.entry for operand in operands],
        own=own, theirs=theirs, shift=shift, low=target.low, high=target.high,
    )  # fmt: skip
    return Value(added, target.scale, target.low, target.high)


def _broadcast(builder: ExtensionBuilder, layer: Layer, index: int) -> Value:
    """An operand in the layer's own shape."""
    value = builder.source(layer, index)
    rank = len(value.entry.shape)
    value = builder.reshape(
        f"{layer.name}_{index}_ranked", value, (1,) * (len(layer.shape) - rank) + value.entry.shape
    )
    for axis, size in enumerate(layer.shape):
        if value.entry.shape[axis] != size:
            entry = builder.writer.add(
                "repeat", f"{layer.name}_{index}_repeat_{axis}", [value.entry],
                repeats=size, axis=axis,
            )  # fmt: skip
            value = Value(entry, value.scale, value.low, value.high)
    return value


def write_function(builder: ExtensionBuilder, layer: Function) -> Value:
    """A table with an entry for each byte."""
    source = builder.source(layer)
    zero = 128 if source.low < 0 else 0
    target = _target_of_function(builder, layer)
    integers = np.arange(256, dtype=np.float64) - zero
    entries = tabulate(layer, integers * source.scale, target)
    table = builder.parameter(f"{layer.name}_table", entries, target.precision)
    entry = builder.writer.add("table", layer.name, [source.entry, table], zero=zero)
    return Value(entry, target.scale, target.low, target.high)


def tabulate(layer: Function, reals: Wide, target: Target) -> Wide:
    """The function's integers; where it has no value, 0."""
    with np.errstate(all="ignore"):
        results = np.asarray(layer.function(reals), np.float64)
    known = np.where(np.isnan(results), 0.0, results)
    return np.clip(np.rint(known / target.scale), target.low, target.high)


def _target_of_function(builder: ExtensionBuilder, layer: Function) -> Target:
    """Bytes 0…255 where no sample is below 0."""
    target = builder.target(layer)
    low, high = builder.calibration.ranges[layer.name]
    if low < 0 or isinstance(builder.network.sole_reader(layer.name), Concatenate):
        return target
    return Target(high / UNSIGNED_LIMIT, 0, UNSIGNED_LIMIT)


def describe_window(size: str, window: Window) -> dict[str, object]:
    """Attributes of a window in the extension form."""
    padding = window.before if window.before == window.after else (*window.before, *window.after)
    return {size: window.size, "strides": window.strides, "padding": padding}


ExtensionBuilder.layers = {
    **COMMON,
    Add: write_add,
    AveragePool: write_average_pool,
    Convolution: write_convolution,
    Function: write_function,
    MaxPool: write_max_pool,
}
