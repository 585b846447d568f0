"""sum and max over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind, require_range
from node.spec.cvm.errors import require
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    Wide,
    bits_of,
    pure,
    same_precision,
    widen,
)

_FIELDS = {
    "axis": Field(Kind.SHAPE, default=()),
    "keepdims": Field(Kind.FLAG, default=0),
    "exclude": Field(Kind.FLAG, default=0),
    "dtype": Field(Kind.TEXT, default="int32"),
}


def _normalise_axes(attributes: Attributes, dimensions: int) -> list[int]:
    """The axes reduced, ascending. ``()`` means all of them."""
    axes = sorted(a + dimensions if a < 0 else a for a in attributes.shape("axis"))
    for axis in axes:
        require_range(f"{attributes.operator}.axis", axis, 0, dimensions - 1)
    require(len(set(axes)) == len(axes), f"{attributes.operator}.axis names an axis twice")
    if not axes:
        return list(range(dimensions))
    if attributes.flag("exclude"):
        return [axis for axis in range(dimensions) if axis not in axes]
    return axes


def _reduced_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    shape = shapes[0]
    axes = _normalise_axes(attributes, len(shape))
    if not axes:
        return [shape]
    if attributes.flag("keepdims"):
        return [tuple(1 if axis in axes else size for axis, size in enumerate(shape))]
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return [kept or (1,)]


def _terms(inputs: Shapes, outputs: Shapes) -> int:
    return prod(inputs[0]) // prod(outputs[0])


def _sum_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return [precisions[0] + bits_of(_terms(inputs, outputs))]


def _sum_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return _terms(inputs, outputs)


def _gather(array: Array, axes: Sequence[int]) -> Wide:
    """The terms of each output element, shape (outputs, terms).

    The official kernel finds an output's first term by walking the kept dimensions that are
    longer than 1 from the end, against all kept dimensions of the input: where a kept dimension
    of length 1 lies between, it takes the stride of that one. This is the same walk.
    """
    strides = _strides(array.shape)
    longer, walked = _walk(array.shape, axes)
    starts = _offsets([array.shape[a] for a in longer], [strides[a] for a in walked])
    steps = _offsets([array.shape[a] for a in axes], [strides[a] for a in axes])
    terms: Wide = widen(array.reshape(-1))[starts[:, None] + steps[None, :]]
    return terms


def _strides(shape: Shape) -> list[int]:
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _walk(shape: Shape, axes: Sequence[int]) -> tuple[list[int], list[int]]:
    """The kept axes that are longer than 1, and those whose strides the kernel takes for them."""
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    longer = [axis for axis in kept if shape[axis] != 1]
    return longer, kept[len(kept) - len(longer) :]


def walks_straight(attributes: Attributes, shape: Shape) -> bool:
    """True if the official kernel reads exactly the terms that the axes name."""
    longer, walked = _walk(shape, _normalise_axes(attributes, len(shape)))
    strides = _strides(shape)
    return [strides[axis] for axis in longer] == [strides[axis] for axis in walked]


def _offsets(sizes: Sequence[int], strides: Sequence[int]) -> Wide:
    """Flat offsets of all positions of a box, the last dimension fastest."""
    offsets = np.zeros(1, np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        offsets = (offsets[:, None] + np.arange(size, dtype=np.int64) * stride).reshape(-1)
    return offsets


def _reduce(
    attributes: Attributes,
    array: Array,
    combine: Callable[[Wide], Wide],
    combine_all: Callable[[Wide], Wide],
) -> Array | Wide:
    axes = _normalise_axes(attributes, array.ndim)
    shape = _reduced_shape(attributes, [array.shape])[0]
    if not axes:
        return array
    if not attributes.shape("axis") and not attributes.flag("exclude"):
        return combine_all(widen(array)).reshape(shape)
    return combine(_gather(array, axes)).reshape(shape)


def _sum(attributes: Attributes, inputs: Sequence[Array]) -> Array | Wide:
    return _reduce(attributes, inputs[0], lambda terms: terms.sum(axis=1), np.sum)


def _max(attributes: Attributes, inputs: Sequence[Array]) -> Array | Wide:
    """Over all elements the official kernel starts from 0, along axes from the first term."""
    return _reduce(
        attributes,
        inputs[0],
        lambda terms: terms.max(axis=1),
        lambda terms: np.maximum(terms.max(), 0),
    )


OPERATORS = (
    Operator("sum", _reduced_shape, _sum_precision, pure(_sum), _FIELDS, cost=_sum_cost),
    Operator("max", _reduced_shape, same_precision, pure(_max), _FIELDS),
)
