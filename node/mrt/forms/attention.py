"""What transformers need of the extension form: products of values, softmax, layer norm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import floor, log2
from typing import Any

import numpy as np

from node.mrt.errors import UnsupportedOperator
from node.mrt.forms.builder import Builder, Value
from node.mrt.forms.numbers import MULTIPLIER_LIMIT, UNSIGNED_LIMIT
from node.mrt.layers import Layer, MatrixProduct, Normalise, Softmax

#: Largest entry of the table of exponents.
_POWER_LIMIT = (1 << 16) - 1
#: Bits after the point of standardised values, and what a sum behind them may reach.
_FRACTION, _BETA_LIMIT, _SHIFT_LIMIT = 10, 1 << 29, 24


def write_matrix_product(builder: Builder, layer: MatrixProduct) -> Value:
    target = builder.target(layer)
    left, right = builder.source(layer), builder.source(layer, 1)
    product = builder.writer.add("batch_matmul", f"{layer.name}_product", [left.entry, right.entry])
    reach = left.entry.shape[-1] * max(-left.low, left.high) * max(-right.low, right.high)
    value = Value(product, left.scale * right.scale, -reach, reach)
    ratio = np.array([value.scale / target.scale])
    return builder.rescale(layer.name, value, ratio, target, axis=0)


def write_softmax(builder: Builder, layer: Softmax) -> Value:
    """Shares of 255, by a table of exponents of the distance from the largest value."""
    source = builder.source(layer)
    distances = np.arange(source.high - source.low + 1) * source.scale
    powers = np.rint(np.exp(-distances) * _POWER_LIMIT)
    powers = powers[: max(2, int(np.count_nonzero(powers)) + 1)].astype(np.int64)
    table = builder.parameter(f"{layer.name}_powers", powers)
    entry = builder.writer.add(
        "softmax", layer.name, [source.entry, table], axis=-1, scale=UNSIGNED_LIMIT
    )
    return Value(entry, 1.0 / UNSIGNED_LIMIT, 0, UNSIGNED_LIMIT)


def write_layer_norm(builder: Builder, layer: Normalise) -> Value:
    source, target = builder.source(layer), builder.target(layer)
    gamma, beta = (each.astype(np.float64) / target.scale for each in (layer.gamma, layer.beta))
    shift = _choose_shift(layer, float(np.abs(gamma).max()), float(np.abs(beta).max()))
    factors = np.rint(gamma * 2.0 ** (shift - _FRACTION)).astype(np.int64)
    offsets = np.rint(beta * 2.0**shift).astype(np.int64)
    entry = builder.writer.add(
        "layer_norm",
        layer.name,
        [
            source.entry,
            builder.parameter(f"{layer.name}_gamma", factors),
            builder.parameter(f"{layer.name}_beta", offsets),
        ],
        fraction=_FRACTION, shift=shift, low=target.low, high=target.high,
    )  # fmt: skip
    return Value(entry, target.scale, target.low, target.high)


def _choose_shift(layer: Normalise, gamma: float, beta: float) -> int:
    """The most bits after the point that fit."""
    by_gamma = log2(MULTIPLIER_LIMIT / gamma) + _FRACTION if gamma else _SHIFT_LIMIT
    by_beta = log2(_BETA_LIMIT / beta) if beta else _SHIFT_LIMIT
    shift = min(floor(by_gamma), floor(by_beta), _SHIFT_LIMIT)
    if shift < 0:
        raise UnsupportedOperator(layer.kind, layer.name, "has a gamma or beta too large")
    return shift


ATTENTION: Mapping[type[Layer], Callable[[Any, Any], Value]] = {
    MatrixProduct: write_matrix_product,
    Normalise: write_layer_norm,
    Softmax: write_softmax,
}
