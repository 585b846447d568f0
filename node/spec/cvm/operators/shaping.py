"""Operators that move elements without changing them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import prod

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind, require_range
from node.spec.cvm.errors import require
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    largest_precision,
    pure,
    same_precision,
)
from node.spec.cvm.operators.reshaping import infer_reshape


def _flatten_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    return [(shapes[0][0], prod(shapes[0][1:]))]


def _reshape_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    return [infer_reshape(attributes.shape("shape"), shapes[0])]


def _expand_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    shape = shapes[0]
    axis = attributes.ranged("axis", -len(shape) - 1, len(shape))
    axis = axis + len(shape) + 1 if axis < 0 else axis
    return [shape[:axis] + (1,) * attributes.ranged("num_newaxis") + shape[axis:]]


def _squeeze_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    shape, axes = shapes[0], attributes.shape("axis")
    for axis in axes:
        require_range("squeeze.axis", axis, -len(shape), len(shape) - 1)
        require(shape[axis] == 1, f"squeeze: axis {axis} of {shape} is not of length 1")
    dropped = {axis % len(shape) for axis in axes}
    if not axes:
        dropped = {axis for axis, size in enumerate(shape) if size == 1}
    return [tuple(size for axis, size in enumerate(shape) if axis not in dropped) or (1,)]


def _transpose_axes(attributes: Attributes, dimensions: int) -> tuple[int, ...]:
    axes = attributes.shape("axes") or tuple(reversed(range(dimensions)))
    require(len(axes) == dimensions, f"transpose.axes {axes} must name {dimensions} axes")
    for axis in axes:
        require_range("transpose.axes", axis, -dimensions, dimensions - 1)
    axes = tuple(axis % dimensions for axis in axes)
    require(len(set(axes)) == dimensions, f"transpose.axes {axes} names an axis twice")
    return axes


def _transpose_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    return [tuple(shapes[0][axis] for axis in _transpose_axes(attributes, len(shapes[0])))]


def _concatenate_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    first = shapes[0]
    axis = attributes.axis(len(first))
    for shape in shapes[1:]:
        require(len(shape) == len(first), f"concatenate: {first} and {shape} differ in dimensions")
        require(
            shape[:axis] + shape[axis + 1 :] == first[:axis] + first[axis + 1 :],
            f"concatenate: {first} and {shape} differ off axis {axis}",
        )
    return [(*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])]


def _repeat_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    shape, repeats = shapes[0], attributes.integer("repeats")
    require(repeats > 0, f"repeat.repeats is {repeats}, below 1")
    axis = attributes.axis(len(shape))
    return [(*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :])]


def _tile_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    shape, repeats = shapes[0], attributes.shape("reps")
    require(len(repeats) > 0, "tile.reps is empty")
    for number in repeats:
        require_range("tile.reps", number, 1)
    pairs = zip_longest(reversed(shape), reversed(repeats), fillvalue=1)
    return [tuple(reversed([size * number for size, number in pairs]))]


def slice_ranges(attributes: Attributes, shape: Shape) -> list[range]:
    """The positions taken along each dimension."""
    given = [attributes.shape(name) for name in ("begin", "end", "stride")]
    for numbers in given:
        require(len(numbers) <= len(shape), f"strided_slice: {numbers} is longer than {shape}")
    begins, ends, strides = given
    begins += (0,) * (len(shape) - len(begins))
    ends += shape[len(ends) :]
    strides += (1,) * (len(shape) - len(strides))
    parts = zip(shape, begins, ends, strides, strict=True)
    return [_slice_range(*part) for part in parts]


def _slice_range(size: int, begin: int, end: int, stride: int) -> range:
    require(stride != 0, "strided_slice.stride is 0")
    low, high = (-1, size - 1) if stride < 0 else (0, size)
    begin = min(max(begin + size if begin < 0 else begin, low), high)
    end = min(max(end + size if end < 0 else end, low), high)
    taken = range(begin, end, stride)
    require(len(taken) > 0, f"strided_slice: {begin}…{end} by {stride} is empty")
    return taken


def _strided_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    return [tuple(len(taken) for taken in slice_ranges(attributes, shapes[0]))]


def _strided_slice(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    return inputs[0][np.ix_(*slice_ranges(attributes, inputs[0].shape))]


def _slice_like_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    source, like = shapes
    axes = attributes.shape("axis")
    require(bool(axes) or len(source) == len(like), f"slice_like: {source} and {like} differ")
    shared = min(len(source), len(like))
    target = list(source)
    for axis in axes or range(len(source)):
        axis = axis + len(source) if axis < 0 else axis
        require_range("slice_like.axis", axis, 0, shared - 1)
        require(like[axis] <= source[axis], f"slice_like: {like} exceeds {source}")
        target[axis] = like[axis]
    return [tuple(target)]


def _slice_like(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    (shape,) = _slice_like_shape(attributes, [array.shape for array in inputs])
    return inputs[0][tuple(slice(size) for size in shape)]


def _upsampled_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    require(len(shapes[0]) == 4, f"upsampling needs 4 dimensions, not {shapes[0]}")
    batch, channels, height, width = shapes[0]
    require(attributes.text("method") == "NEAREST_NEIGHBOR", "upsampling.method is unknown")
    require(attributes.text("layout") == "NCHW", "upsampling.layout must be NCHW")
    scale = attributes.ranged("scale", 1)
    return [(batch, channels, height * scale, width * scale)]


def _upsample(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    scale = attributes.integer("scale")
    return inputs[0].repeat(scale, axis=2).repeat(scale, axis=3)


def _keep(attributes: Attributes, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
    """Same elements in the same order, in another shape."""
    outputs[0].reshape(-1)[...] = inputs[0].reshape(-1)


def _concatenate(attributes: Attributes, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
    np.concatenate(inputs, axis=attributes.integer("axis"), out=outputs[0])


_INTEGER = Field(Kind.INTEGER)
_EMPTY = Field(Kind.SHAPE, default=())

OPERATORS = (
    Operator("flatten", _flatten_shape, same_precision, _keep, in_place=True),
    Operator(
        "reshape",
        _reshape_shape,
        same_precision,
        _keep,
        {"shape": Field(Kind.SHAPE)},
        in_place=True,
    ),
    Operator(
        "expand_dims",
        _expand_shape,
        same_precision,
        _keep,
        {"axis": _INTEGER, "num_newaxis": Field(Kind.INTEGER, default=1, minimum=1)},
        in_place=True,
    ),
    Operator("squeeze", _squeeze_shape, same_precision, _keep, {"axis": _EMPTY}, in_place=True),
    Operator(
        "transpose",
        _transpose_shape,
        same_precision,
        pure(lambda a, x: x[0].transpose(_transpose_axes(a, x[0].ndim))),
        {"axes": _EMPTY},
    ),
    Operator(
        "concatenate",
        _concatenate_shape,
        largest_precision,
        _concatenate,
        {"axis": Field(Kind.INTEGER, default=1)},
        input_count=None,
    ),
    Operator(
        "repeat",
        _repeat_shape,
        same_precision,
        pure(lambda a, x: x[0].repeat(a.integer("repeats"), axis=a.axis(x[0].ndim))),
        {"repeats": _INTEGER, "axis": Field(Kind.INTEGER, default=0)},
    ),
    Operator(
        "tile",
        _tile_shape,
        same_precision,
        pure(lambda a, x: np.tile(x[0], a.shape("reps"))),
        {"reps": Field(Kind.SHAPE, default=(0,))},
    ),
    Operator(
        "strided_slice",
        _strided_shape,
        same_precision,
        pure(_strided_slice),
        {
            "begin": Field(Kind.SHAPE, default=(0,)),
            "end": Field(Kind.SHAPE, default=(1,)),
            "stride": _EMPTY,
        },
    ),
    Operator(
        "slice_like",
        _slice_like_shape,
        same_precision,
        pure(_slice_like),
        {"axis": _EMPTY},
        input_count=2,
    ),
    Operator(
        "upsampling",
        _upsampled_shape,
        same_precision,
        pure(_upsample),
        {
            "scale": _INTEGER,
            "layout": Field(Kind.TEXT, default="NCHW"),
            "method": Field(Kind.TEXT, default="NEAREST_NEIGHBOR"),
        },
    ),
)
