"""Real factors as integers: weights, multipliers and shifts."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log2

import numpy as np
from numpy.typing import NDArray

from node.mrt.errors import UnsupportedOperator
from node.mrt.layers import Deconvolution, Floats, Weighted

Wide = NDArray[np.float64]
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
    scale: Wide

    def rows(self, layer: Weighted) -> NDArray[np.int8]:
        """(channels, all else)."""
        if isinstance(layer, Deconvolution):
            return _deconvolution_rows(self.values, layer.groups)
        return self.values.reshape(len(self.values), -1)


def limit_of_bits(bits: int) -> int:
    """Largest magnitude of signed weights of so many bits."""
    return (1 << (bits - 1)) - 1


def scale_channels(layer: Weighted, limit: int) -> Wide:
    """The scale of each output channel's weights that uses all of ±limit."""
    largest = np.abs(layer.rows()).max(axis=1).astype(np.float64)
    overall = float(largest.max(initial=0.0))
    scale: Wide = np.maximum(largest, overall * _SPREAD if overall > 0 else 1.0) / limit
    return scale


def quantise_weights(layer: Weighted, scale: Wide, limit: int) -> IntegerWeights:
    """Round the weights to multiples of each channel's scale."""
    column = _along_channels(layer, scale).astype(np.float32)
    scaled = layer.weight / column
    np.rint(scaled, out=scaled)
    np.clip(scaled, -limit, limit, out=scaled)
    return IntegerWeights(scaled.astype(np.int8), scale)


def _along_channels(layer: Weighted, scale: Wide) -> Wide:
    """The scales so that they broadcast against the weight."""
    if not isinstance(layer, Deconvolution):
        return scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    sources, outs, *size = layer.weight.shape
    grouped = scale.reshape(layer.groups, 1, outs)
    repeated = np.repeat(grouped, sources // layer.groups, axis=1)
    return repeated.reshape(sources, outs, *[1] * len(size))


def _deconvolution_rows(values: NDArray[np.int8], groups: int) -> NDArray[np.int8]:
    sources, outs = values.shape[:2]
    grouped = values.reshape(groups, sources // groups, outs, -1)
    return np.moveaxis(grouped, 2, 1).reshape(groups * outs, -1)


def multiply_for(name: str, ratio: Wide, limit: int = MULTIPLIER_LIMIT) -> tuple[Integers, int]:
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


def bits_for(limit: int) -> int:
    """The least precision that holds ±limit."""
    return int(limit).bit_length() + 1


def round_bias(bias: Floats | None, channels: int, scale: Wide, name: str) -> Integers:
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
