"""Operators on two tensors, the smaller one repeated along the dimensions it lacks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

import numpy as np

from node.spec.cvm.attributes import Attributes
from node.spec.cvm.errors import require
from node.spec.cvm.operators.operator import (
    Array,
    InferPrecisions,
    Operator,
    Shape,
    Shapes,
    Wide,
    largest_precision,
    product_precision,
    pure,
    same_precision,
    sum_precision,
    widen,
)


def _broadcast_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    left, right = shapes
    pairs = list(zip_longest(reversed(left), reversed(right), fillvalue=1))
    for first, second in pairs:
        require(
            first == second or 1 in (first, second),
            f"{attributes.operator} cannot broadcast {left} and {right}",
        )
    return [tuple(max(pair) for pair in reversed(pairs))]


def _divide(left: Wide, right: Wide) -> Wide:
    """Quotient towards zero; by zero it is 0."""
    magnitude = np.abs(left) // np.where(right == 0, 1, np.abs(right))
    return np.where(right == 0, 0, magnitude * np.sign(left) * np.sign(right))


def _binary(
    name: str, function: Callable[[Wide, Wide], Wide | Array], precision: InferPrecisions
) -> Operator:
    return Operator(
        name,
        _broadcast_shape,
        precision,
        pure(lambda attributes, inputs: function(widen(inputs[0]), widen(inputs[1]))),
        input_count=2,
    )


OPERATORS = (
    _binary("broadcast_add", lambda a, b: a + b, sum_precision),
    _binary("broadcast_sub", lambda a, b: a - b, sum_precision),
    _binary("broadcast_mul", lambda a, b: a * b, product_precision),
    _binary("broadcast_max", lambda a, b: np.maximum(a, b), largest_precision),
    _binary("broadcast_div", _divide, same_precision),
    _binary("broadcast_greater", lambda a, b: (a > b).astype(np.int64), same_precision),
)
