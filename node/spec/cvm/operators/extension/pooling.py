"""Maximum and average of windows in one to three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension import window
from node.spec.cvm.operators.extension.bounds import divide_half_up, prove_word
from node.spec.cvm.operators.operator import (
    Array,
    InferPrecisions,
    Operator,
    Shape,
    Shapes,
    limit_of,
    pure,
    same_precision,
    widen,
)

_FIELDS = {
    "pool_size": Field(Kind.SHAPE),
    "strides": window.EMPTY,
    "padding": window.EMPTY,
    "ceil_mode": Field(Kind.FLAG, default=0),
}
_AVERAGE_FIELDS = {**_FIELDS, "count_include_pad": Field(Kind.FLAG, default=1)}

#: Around the input of a maximum: below every value there is.
_LOWEST = -(1 << 31)

_Reduce = Callable[[Attributes, Array, window.Window, Shape], NDArray[Any]]


def _pool_shape(attributes: Attributes, shapes: Shapes, count: int) -> Shape:
    window.check_dimensions(attributes, shapes[0], count)
    moved = window.read_window(attributes, "pool_size", count)
    ceil = attributes.flag("ceil_mode")
    positions = window.count_positions(attributes, moved, shapes[0], ceil=ceil)
    for size, kernel, stride, before, after, length in zip(
        *(shapes[0][2:], moved.size, moved.strides, moved.before, moved.after, positions),
        strict=True,
    ):
        require(
            max(before, after) < kernel and (length - 1) * stride - before < size,
            f"{attributes.operator}: a window lies in the padding",
        )
    return (*shapes[0][:2], *positions)


def _pool(
    name: str,
    count: int,
    reduce: _Reduce,
    fields: dict[str, Field],
    infer_precisions: InferPrecisions,
) -> Operator:
    def infer_shapes(attributes: Attributes, shapes: Shapes) -> list[Shape]:
        return [_pool_shape(attributes, shapes, count)]

    def compute(attributes: Attributes, inputs: Sequence[Array]) -> NDArray[Any]:
        shape = _pool_shape(attributes, [inputs[0].shape], count)
        moved = window.read_window(attributes, "pool_size", count)
        return reduce(attributes, inputs[0], moved, shape[2:])

    def cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
        return window.read_window(attributes, "pool_size", count).taps

    return Operator(
        f"{name}{count}d", infer_shapes, infer_precisions, pure(compute), fields, cost=cost
    )


def _largest(
    attributes: Attributes, array: Array, moved: window.Window, positions: Shape
) -> NDArray[Any]:
    views = window.view_windows(array, moved, positions, _LOWEST)
    largest: NDArray[Any] = views.max(axis=tuple(range(-len(moved.size), 0)))
    return largest


def _average(
    attributes: Attributes, array: Array, moved: window.Window, positions: Shape
) -> NDArray[Any]:
    """Divided by the size of the window, or by how much of it lies in the input."""
    axes = tuple(range(-len(moved.size), 0))
    total = window.view_windows(widen(array), moved, positions, 0).sum(axis=axes)
    if attributes.flag("count_include_pad"):
        return divide_half_up(total, moved.taps)
    inside = np.ones((1, 1, *array.shape[2:]), np.int64)
    return divide_half_up(total, window.view_windows(inside, moved, positions, 0).sum(axis=axes))


def _average_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    taps = window.read_window(attributes, "pool_size", len(inputs[0]) - 2).taps
    prove_word(attributes, 2 * limit_of(precisions[0]) * taps + taps)
    return [precisions[0]]


OPERATORS = (
    *(_pool("max_pool", count, _largest, _FIELDS, same_precision) for count in (1, 2, 3)),
    *(
        _pool("avg_pool", count, _average, _AVERAGE_FIELDS, _average_precision)
        for count in (1, 2, 3)
    ),
)
