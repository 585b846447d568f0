"""The extension form: bytes 0…255 after a ReLU, one multiplier of 15 bits for each channel.

A weighted layer is ``conv2d`` → ``requantise``, a residual sum one ``scaled_add``; a ReLU behind
either is its lower bound. Operators: docs/operators.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from node.mrt.forms.attention import ATTENTION
from node.mrt.forms.bias_correction import correct_bias
from node.mrt.forms.builder import Builder, Target, Value
from node.mrt.forms.common_layers import COMMON, ranked, tabulate
from node.mrt.forms.numbers import (
    MULTIPLIER_LIMIT,
    SIGNED_LIMIT,
    UNSIGNED_LIMIT,
    multiply_for,
    quantise_weights,
    reach_of,
    round_bias,
    scale_channels,
)
from node.mrt.forms.space import SPACE
from node.mrt.forms.widths import Widths
from node.mrt.layers import Add, Concatenate, Doubles, Function, Layer, Weighted
from node.spec.cvm.operators.operator import limit_of, precision_of
from node.spec.cvm.writer import Entry

#: Bits of a sum that meets a multiplier: 15 beside the sign.
_NARROW_PRECISION = 16
#: Of a sum of products, so that half of the largest shift fits beside it.
_PRODUCT_LIMIT = 1 << 30


class ExtensionBuilder(Builder):
    extended = True

    def room(self, name: str) -> int:
        """Bytes; more bits for what only layer norms, sums and softmaxes read."""
        wide = self.widths.room(name)
        if wide is not None:
            return wide
        return UNSIGNED_LIMIT if self.is_nonnegative(name) else SIGNED_LIMIT

    @cached_property
    def widths(self) -> Widths:
        return Widths(self.network)

    def rescale(
        self, name: str, value: Value, ratio: Doubles, target: Target, axis: int = 1
    ) -> Value:
        entry, shift = self._narrow(name, value, ratio, target)
        multiplier, point = multiply_for(name, ratio * 2.0**shift)
        return self._requantise(name, entry, multiplier, shift, point, axis, target)

    def shift_down(self, name: str, entry: Entry, bits: int, target: Target) -> Value:
        return self._requantise(name, entry, np.array([1]), 0, bits, 0, target)

    def _requantise(
        self, name: str, entry: Entry, multiplier: Any, before: int, shift: int, axis: int,
        target: Target,
    ) -> Value:  # fmt: skip
        requantised = self.writer.add(
            "requantise",
            f"{name}_requantised",
            [entry, self.parameter(f"{name}_multiplier", multiplier)],
            axis=axis, pre_shift=before, shift=shift, low=target.low, high=target.high,
        )  # fmt: skip
        return Value(requantised, target.scale, target.low, target.high)

    def _narrow(self, name: str, value: Value, ratio: Doubles, target: Target) -> tuple[Entry, int]:
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
        target, limit = self.target(layer), limit_of(self.weight_bits)
        weights = quantise_weights(layer, scale_channels(layer, limit), limit)
        unit = weights.scale * source.scale
        ratio = unit / target.scale
        real = correct_bias(layer, weights, self.calibration.means.get(layer.inputs[0]))
        bias = round_bias(real, len(unit), unit, layer.name)
        reach = reach_of(layer.rows(weights.values), source.low, source.high)
        reach += int(np.abs(bias).max()) + 1
        total = Value(source.entry, 1.0, -reach, reach)
        shift = _needed_precision(total, ratio, target) - _NARROW_PRECISION
        if shift > 0:
            bias += 1 << (shift - 1)  # so that the narrowing shift rounds half up
        operands = [
            source.entry,
            self.parameter(f"{layer.name}_weight", weights.values, self.weight_bits),
            self.parameter(f"{layer.name}_bias", bias),
        ]
        sums = self.writer.add(operator, layer.name, operands, use_bias=True, **details)
        reach += 1 << max(shift, 0)
        return self.rescale(layer.name, Value(sums, 1.0, -reach, reach), ratio, target)


def _needed_precision(value: Value, ratio: Doubles, target: Target) -> int:
    """Of sums beyond which the result is clipped, or which cannot be."""
    smallest = float(np.abs(ratio)[ratio != 0].min(initial=np.inf))
    most = max(abs(target.low), abs(target.high)) + 1
    reached = max(abs(value.low), abs(value.high))
    return max(precision_of(int(min(reached, most / smallest)) + 1), _NARROW_PRECISION)


def write_add(builder: ExtensionBuilder, layer: Add) -> Value:
    target = builder.target(layer)
    operands = [_broadcast(builder, layer, index) for index in (0, 1)]
    ratios = [
        sign * operand.scale / target.scale
        for sign, operand in zip(layer.signs, operands, strict=True)
    ]
    room = sum(operand.entry.limit for operand in operands)
    limit = min(MULTIPLIER_LIMIT, _PRODUCT_LIMIT // room)
    (own, theirs), shift = multiply_for(layer.name, np.array(ratios), limit)
    added = builder.writer.add(
        "scaled_add", layer.name, [operand.entry for operand in operands],
        own=own, theirs=theirs, shift=shift, low=target.low, high=target.high,
    )  # fmt: skip
    return Value(added, target.scale, target.low, target.high)


def _broadcast(builder: ExtensionBuilder, layer: Layer, index: int) -> Value:
    """An operand in the layer's own shape."""
    value = ranked(builder, layer, index)
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


def _target_of_function(builder: ExtensionBuilder, layer: Function) -> Target:
    """Bytes 0…255 where no sample is below 0."""
    target = builder.target(layer)
    low, high = builder.calibration.ranges[layer.name]
    if low < 0 or isinstance(builder.network.sole_reader(layer.name), Concatenate):
        return target
    return Target(high / UNSIGNED_LIMIT, 0, UNSIGNED_LIMIT)


ExtensionBuilder.layers = {
    **COMMON,
    **SPACE,
    **ATTENTION,
    Add: write_add,
    Function: write_function,
}
