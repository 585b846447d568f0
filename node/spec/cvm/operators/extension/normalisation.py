"""softmax and layer_norm in integers alone (after I-BERT, arXiv 2101.01321)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension.bounds import (
    clip_limit,
    divide_half_up,
    half_of,
    prove_wide,
    prove_word,
)
from node.spec.cvm.operators.extension.scaling import CLIP_FIELDS, shift_and_clip
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    Wide,
    cost_always,
    limit_of,
    precision_of,
    pure,
    widen,
)

_SCALE_LIMIT, _FRACTION_LIMIT, _STANDARD_LIMIT = (1 << 15) - 1, 15, (1 << 15) - 1
_ROOT_BITS = 31
#: For each element.
_OPERATIONS = 16


# --- softmax


def _softmax_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    attributes.axis(len(shapes[0]))
    require(len(shapes[1]) == 1, f"softmax: the table is {shapes[1]}, not of one dimension")
    return [shapes[0]]


def _softmax_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    scale = attributes.ranged("scale", 1, _SCALE_LIMIT)
    terms = inputs[0][attributes.axis(len(inputs[0]))]
    prove_word(attributes, 2 * limit_of(precisions[0]))
    prove_word(attributes, 2 * (scale + terms) * limit_of(precisions[1]))
    return [precision_of(scale)]


def _softmax(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    """Shares of ``scale``; where all entries of the table that count are 0, so is the answer."""
    values, table = widen(inputs[0]), np.maximum(widen(inputs[1]), 0)
    axis = attributes.axis(values.ndim)
    powers = table.take(values.max(axis=axis, keepdims=True) - values, mode="clip")
    total = np.maximum(powers.sum(axis=axis, keepdims=True), 1)
    return divide_half_up(powers * attributes.integer("scale"), total)


# --- layer_norm


def _norm_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    for role, shape in zip(("gamma", "beta"), shapes[1:], strict=True):
        require(shape == shapes[0][-1:], f"layer_norm: {role} is {shape}, not {shapes[0][-1:]}")
    return [shapes[0]]


def _norm_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    fraction = attributes.ranged("fraction", 0, _FRACTION_LIMIT)
    terms = inputs[0][-1]
    deviation = 2 * terms * limit_of(precisions[0])
    prove_wide(attributes, terms * deviation**2)
    prove_wide(attributes, deviation << (fraction + 2))
    scaled = _STANDARD_LIMIT * limit_of(precisions[1]) + limit_of(precisions[2])
    prove_word(attributes, scaled + half_of(attributes))
    return [precision_of(clip_limit(attributes))]


def _root(values: Wide) -> Wide:
    """⌊√value⌋ of each value below 2^62."""
    roots = np.zeros_like(values)
    for bit in reversed(range(_ROOT_BITS)):
        larger = roots | (1 << bit)
        roots = np.where(larger * larger <= values, larger, roots)
    return roots


def _layer_norm(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    """Deviations are taken n times as large, so that the mean needs no rounding."""
    values, count = widen(inputs[0]), inputs[0].shape[-1]
    deviations = count * values - values.sum(axis=-1, keepdims=True)
    squares = (deviations * deviations).sum(axis=-1, keepdims=True)
    spread = np.maximum(_root(squares // count), 1)
    standard = divide_half_up(deviations << attributes.integer("fraction"), spread)
    standard = np.clip(standard, -_STANDARD_LIMIT, _STANDARD_LIMIT)
    return shift_and_clip(attributes, standard * inputs[1] + inputs[2])


OPERATORS = (
    Operator(
        "softmax",
        _softmax_shape,
        _softmax_precision,
        pure(_softmax),
        {"axis": Field(Kind.INTEGER, default=-1), "scale": Field(Kind.INTEGER, default=255)},
        input_count=2,
        cost=cost_always(_OPERATIONS),
    ),
    Operator(
        "layer_norm",
        _norm_shape,
        _norm_precision,
        pure(_layer_norm),
        {"fraction": Field(Kind.INTEGER, default=10), **CLIP_FIELDS},
        input_count=3,
        cost=cost_always(_OPERATIONS),
    ),
)
