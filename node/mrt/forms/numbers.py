"""Real factors as integers: weights, multipliers and shifts."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log2

import numpy as np
from numpy.typing import NDArray

from node.mrt.errors import UnsupportedOperator
from node.mrt.layers import Doubles, Floats, Weighted

Integers = NDArray[np.int64]

SIGNED_LIMIT, UNSIGNED_LIMIT = 127, 255
MULTIPLIER_LIMIT = (1 << 15) - 1
"""Of 15 bits beside the sign."""
SHIFT_LIMIT = 30
#: A channel's weights are scaled as if its largest were at least this share of the layer's, so
#: that the multipliers of all channels fit one shift.
_SPREAD = 2.0**-8


@dataclass(frozen=True)
class IntegerWeights:
    """``values`` · ``scale`` (one number for each output channel) is about the weight."""

    values: NDArray[np.int8]
    scale: Doubles


def scale_channels(layer: Weighted, limit: int) -> Doubles:
    """The scale of each output channel's weights that uses all of ±limit."""
    largest = np.abs(layer.rows(layer.weight)).max(axis=1).astype(np.float64)
    overall = float(largest.max(initial=0.0))
    scale: Doubles = np.maximum(largest, overall * _SPREAD if overall > 0 else 1.0) / limit
    return scale


def quantise_weights(layer: Weighted, scale: Doubles, limit: int) -> IntegerWeights:
    """Round the weights to multiples of each channel's scale."""
    column = layer.spread(scale).astype(np.float32)
    scaled = layer.weight / column
    np.rint(scaled, out=scaled)
    np.clip(scaled, -limit, limit, out=scaled)
    return IntegerWeights(scaled.astype(np.int8), scale)


def multiply_for(name: str, ratio: Doubles, limit: int = MULTIPLIER_LIMIT) -> tuple[Integers, int]:
    """Integers m and a shift, such that m / 2^shift is about the ratio.

    Raises:
        UnsupportedOperator: the ratio is beyond every multiplier.
    """
    largest = float(np.abs(ratio).max())
    shift = SHIFT_LIMIT if largest == 0 else min(floor(log2((limit + 0.5) / largest)), SHIFT_LIMIT)
    if shift < 0:
        raise UnsupportedOperator("rescaling", name, f"by {largest:.3g} is too large")
    values = np.clip(np.rint(ratio * 2.0**shift), -limit, limit)
    return values.astype(np.int64), shift


def round_bias(bias: Floats | None, channels: int, scale: Doubles, name: str) -> Integers:
    """The bias in units of the sums; zeros without one."""
    if bias is None:
        return np.zeros(channels, np.int64)
    values = np.rint(bias.astype(np.float64) / scale)
    if not np.abs(values).max() < 1 << 30:
        raise UnsupportedOperator("bias", name, "is beyond 31 bits; calibrate on larger values")
    return values.astype(np.int64)


def reach_of(rows: NDArray[np.int8], low: int, high: int) -> int:
    """Largest magnitude of any sum of a row times inputs of low…high.

    Args:
        rows: (channels, all else).
    """
    sums = np.abs(rows, dtype=np.int16).sum(axis=1, dtype=np.int64)
    return int(sums.max()) * max(abs(low), abs(high))
