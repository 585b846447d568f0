"""How the official form comes back to 8 bits.

With `Scaling.SHIFT` the scale of a layer's weights is chosen so that the product of scales differs
from the result's by a power of two, and ``cvm_right_shift`` alone brings a sum back. Where scales
meet that were not so chosen (adding, averaging, concatenating), an integer multiplier stands before
the shift. With `Scaling.MULTIPLIER` that is done for weights too, with one scale for each output
channel: more exact, and more operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import floor, log2

import numpy as np

from node.mrt.errors import UnsupportedOperator
from node.mrt.forms.bias_correction import correct_bias
from node.mrt.forms.builder import Builder, Calibration, Target, Value
from node.mrt.forms.numbers import (
    SHIFT_LIMIT,
    SIGNED_LIMIT,
    multiply_for,
    quantise_weights,
    reach_of,
    round_bias,
    scale_channels,
)
from node.mrt.layers import Doubles, Weighted
from node.mrt.network import Network
from node.spec.cvm.operators.operator import limit_of, precision_of
from node.spec.cvm.writer import Entry

#: A sum of 16 bits times a multiplier of 15 fits 32.
_NARROW_PRECISION, _FACTOR_PRECISION = 16, 15
_FACTOR_LIMIT = limit_of(_FACTOR_PRECISION)


class Scaling(StrEnum):
    """How a weighted layer comes back to 8 bits."""

    SHIFT = "shift"
    MULTIPLIER = "multiplier"


class CvmArithmetic(Builder):
    """What a builder of the official form knows of numbers; its layers are not here."""

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

    def rescale(
        self, name: str, value: Value, ratio: Doubles, target: Target, axis: int = 1
    ) -> Value:
        column = [1] * len(value.entry.shape)
        column[axis] = ratio.size
        return self.rescale_by(name, value, ratio.reshape(column), target)

    def rescale_by(self, name: str, value: Value, ratio: Doubles, target: Target) -> Value:
        """Times a ratio that broadcasts against the value."""
        entry, bits = self._narrow(name, value, ratio)
        factors, point = multiply_for(name, ratio * 2.0**bits, _FACTOR_LIMIT)
        if point < 1:
            raise UnsupportedOperator("rescaling", name, "by so much needs more than 15 bits")
        factor = self.parameter(f"{name}_multiplier", factors, _FACTOR_PRECISION)
        product = self.writer.add("broadcast_mul", f"{name}_product", [entry, factor])
        return self.shift_down(name, product, point, target)

    def _narrow(self, name: str, value: Value, ratio: Doubles) -> tuple[Entry, int]:
        """At most 16 bits, of those that matter; and how far it was shifted for them."""
        smallest = float(np.abs(ratio)[ratio != 0].min(initial=np.inf))
        reached = min(max(abs(value.low), abs(value.high)), (SIGNED_LIMIT + 1) / smallest)
        needed = max(precision_of(int(reached) + 1), _NARROW_PRECISION)
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
        target, limit = self.target(layer), limit_of(self.weight_bits)
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
            operands.append(self.parameter(f"{layer.name}_bias", bias))
        sums = self.writer.add(operator, layer.name, operands, use_bias=real is not None, **details)
        if shifted:
            return self.shift_down(layer.name, sums, bits, target)
        reach = reach_of(layer.rows(weights.values), source.low, source.high)
        reach += 0 if real is None else int(np.abs(bias).max())
        return self.rescale(
            layer.name, Value(sums, 1.0, -reach, reach), unit / target.scale, target
        )


def _shift_for(scale_ratio: float, largest_weight: float, limit: int) -> int:
    """Most bits to shift such that the largest weight still fits."""
    if largest_weight == 0:
        return 1
    return min(floor(log2(limit * scale_ratio / largest_weight)), SHIFT_LIMIT)
