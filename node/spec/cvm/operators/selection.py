"""Operators that pick elements by values: take, cvm_lut, where."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    pure,
    same_precision,
)


def _take_axis(attributes: Attributes, dimensions: int) -> int | None:
    return None if attributes.optional_integer("axis") is None else attributes.axis(dimensions)


def _take_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    source, indices = shapes
    axis = _take_axis(attributes, len(source))
    if axis is None:
        return [indices]
    return [source[:axis] + indices + source[axis + 1 :]]


def _take(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    """Indices are clamped to the range."""
    source, indices = inputs
    return np.take(source, indices, axis=_take_axis(attributes, source.ndim), mode="clip")


def _table_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    indices, table = shapes
    require(
        prod(table) == attributes.integer("in_dim"),
        f"cvm_lut: the table has {prod(table)} entries, in_dim is {attributes.integer('in_dim')}",
    )
    return [indices]


def _table_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return [precisions[1]]


def _look_up(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    return np.take(inputs[1], inputs[0], mode="clip")


def _where_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    condition, first, second = shapes
    require(first == second, f"where: {first} and {second} differ")
    if condition != first:
        require(len(condition) == 1, f"where: condition {condition} must be {first} or 1-D")
        require(condition[0] >= first[0], f"where: condition {condition} is shorter than {first}")
    return [first]


def _where(attributes: Attributes, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
    """By element; with a 1-D condition by row, where the official kernel copies as many *bytes*
    as a row has elements and leaves the rest of the output as it was."""
    condition, first, second = inputs
    if condition.ndim == first.ndim:
        chosen = condition.reshape(-1)[: first.size].reshape(first.shape)
        outputs[0][...] = np.where(chosen == 0, second, first)
        return
    length = prod(first.shape[1:])
    rows = [np.ascontiguousarray(array).reshape(len(array), -1) for array in (second, first)]
    target = outputs[0].reshape(len(first), -1).view(np.uint8)
    for row in range(len(first)):
        source = rows[int(condition[row] != 0)][row]
        target[row, :length] = source.view(np.uint8)[:length]


OPERATORS = (
    Operator(
        "take",
        _take_shape,
        same_precision,
        pure(_take),
        {"axis": Field(Kind.OPTIONAL_INTEGER, default=None)},
        input_count=2,
    ),
    Operator(
        "cvm_lut",
        _table_shape,
        _table_precision,
        pure(_look_up),
        {"in_dim": Field(Kind.INTEGER)},
        input_count=2,
    ),
    Operator("where", _where_shape, same_precision, _where, input_count=3),
)
