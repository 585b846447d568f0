"""pad, gather, sort and argsort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension.bounds import WORD_LIMIT
from node.spec.cvm.operators.extension.window import numbers
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    Wide,
    precision_of,
    pure,
    same_precision,
    widen,
)

#: Modes of `pad`, numbered as a program numbers them.
CONSTANT, EDGE, REFLECT = PAD_MODES = ("constant", "edge", "reflect")
_SORT_FIELDS = {
    "axis": Field(Kind.INTEGER, default=-1),
    "is_ascend": Field(Kind.FLAG, default=1),
}


def _pad_widths(attributes: Attributes, shape: Shape) -> list[tuple[int, int]]:
    given = attributes.shape("pad_width")
    require(
        len(given) == 2 * len(shape), f"pad.pad_width {given} must have {2 * len(shape)} numbers"
    )
    given = numbers(attributes, "pad_width", len(given), 0, 0)
    return list(zip(given[: len(shape)], given[len(shape) :], strict=True))


def _padded_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    widths, mode = _pad_widths(attributes, shapes[0]), attributes.text("mode")
    require(mode in PAD_MODES, f"pad.mode {mode[:20]!r} is none of {PAD_MODES}")
    for size, ends in zip(shapes[0], widths, strict=True):
        require(mode != REFLECT or max(ends) < size, f"pad: {ends} cannot be reflected in {size}")
    return [tuple(size + sum(ends) for size, ends in zip(shapes[0], widths, strict=True))]


def _padded_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    value = attributes.ranged("value", -WORD_LIMIT, WORD_LIMIT)
    constant = attributes.text("mode") == CONSTANT
    return [max(precisions[0], precision_of(abs(value)) if constant else 1)]


def _pad(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    widths, mode = _pad_widths(attributes, inputs[0].shape), attributes.text("mode")
    if mode == CONSTANT:
        return np.pad(inputs[0], widths, constant_values=attributes.integer("value"))
    return np.pad(inputs[0], widths, mode="edge" if mode == EDGE else "reflect")


def _gathered_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    source, indices = shapes
    axis = attributes.axis(len(source))
    require(
        len(source) == len(indices)
        and source[:axis] + source[axis + 1 :] == indices[:axis] + indices[axis + 1 :],
        f"gather: {source} and {indices} differ off axis {axis}",
    )
    return [indices]


def _gather(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    """Indices are clamped to the range."""
    source, indices = inputs
    axis = attributes.axis(source.ndim)
    return np.take_along_axis(source, np.clip(indices, 0, source.shape[axis] - 1), axis)


def _sorted_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    attributes.axis(len(shapes[0]))
    return [shapes[0]]


def _order(attributes: Attributes, array: Array) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Equal elements keep their order, upwards and downwards."""
    keys = widen(array) if attributes.flag("is_ascend") else -widen(array)
    return np.argsort(keys, axis=attributes.axis(array.ndim), kind="stable")


def _sort(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    axis = attributes.axis(inputs[0].ndim)
    return np.take_along_axis(inputs[0], _order(attributes, inputs[0]), axis)


def _argsort(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    return _order(attributes, inputs[0]).astype(np.int64)


def _index_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return [precision_of(inputs[0][attributes.axis(len(inputs[0]))] - 1)]


def _sort_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return 4 * inputs[0][attributes.axis(len(inputs[0]))].bit_length()


OPERATORS = (
    Operator(
        "pad",
        _padded_shape,
        _padded_precision,
        pure(_pad),
        {
            "pad_width": Field(Kind.SHAPE),
            "mode": Field(Kind.TEXT, default=CONSTANT),
            "value": Field(Kind.INTEGER, default=0),
        },
    ),
    Operator(
        "gather",
        _gathered_shape,
        same_precision,
        pure(_gather),
        {"axis": Field(Kind.INTEGER)},
        input_count=2,
    ),
    Operator("sort", _sorted_shape, same_precision, pure(_sort), _SORT_FIELDS, cost=_sort_cost),
    Operator(
        "argsort", _sorted_shape, _index_precision, pure(_argsort), _SORT_FIELDS, cost=_sort_cost
    ),
)
