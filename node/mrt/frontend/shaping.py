"""Operators that only move values: reshaping, slicing, concatenating, padding, resizing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import numpy as np

from node.mrt.frontend.node import Node
from node.mrt.frontend.reader import Reader, converts
from node.mrt.layers import (
    Concatenate,
    Constant,
    Embed,
    Layer,
    Pad,
    Reshape,
    Shape,
    Slice,
    Transpose,
    Upsample,
)

_FAR = 1 << 31


@converts("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def read_reshape(reader: Reader, node: Node) -> Iterable[Layer]:
    yield Reshape(*reader.base(node))


@converts("Transpose")
def read_transpose(reader: Reader, node: Node) -> Iterable[Layer]:
    rank = len(reader.input_shape(node))
    axes = tuple(int(axis) for axis in node.get("perm", reversed(range(rank))))
    yield Transpose(*reader.base(node), axes)


@converts("Concat")
def read_concatenation(reader: Reader, node: Node) -> Iterable[Layer]:
    names = []
    for index, name in enumerate(node.inputs):
        if reader.is_constant(node, index):
            value = reader.constant(node, index)
            name = f"{node.outputs[0]}_part_{index}"
            yield Constant(name, (), value.shape, value)
        names.append(name)
    axis = int(node.get("axis", 1)) % len(reader.output_shape(node))
    yield Concatenate(*reader.base(node, *names), axis)


@converts("Split")
def read_split(reader: Reader, node: Node) -> Iterable[Layer]:
    shape = reader.input_shape(node)
    axis = int(node.get("axis", 0)) % len(shape)
    sizes = [reader.shape(node, name)[axis] for name in node.outputs]
    starts = [0, *accumulate(sizes)]
    for name, start, size in zip(node.outputs, starts, sizes, strict=False):
        yield _cut(name, node.inputs[0], shape, axis, slice(start, start + size))


def _cut(name: str, source: str, shape: Shape, axis: int, part: slice) -> Slice:
    """Part of one axis and all of the others."""
    begin, end, made = [0] * len(shape), list(shape), list(shape)
    begin[axis], end[axis], made[axis] = part.start, part.stop, part.stop - part.start
    return Slice(name, (source,), tuple(made), tuple(begin), tuple(end), (1,) * len(shape))


@converts("Slice")
def read_slice(reader: Reader, node: Node) -> Iterable[Layer]:
    shape = reader.input_shape(node)
    starts, ends = reader.integers(node, 1, "starts"), reader.integers(node, 2, "ends")
    if starts is None or ends is None:
        raise node.refuse("needs constant starts and ends")
    axes = reader.integers(node, 3, "axes") or tuple(range(len(starts)))
    steps = reader.integers(node, 4, "steps") or (1,) * len(starts)
    node.require(min(steps) > 0, "backwards is not supported")
    begin, end, stride = [0] * len(shape), list(shape), [1] * len(shape)
    for axis, start, stop, step in zip(axes, starts, ends, steps, strict=True):
        begin[axis], end[axis], stride[axis] = slice(
            max(start, -_FAR), min(stop, _FAR), step
        ).indices(shape[axis])
    yield Slice(*reader.base(node), tuple(begin), tuple(end), tuple(stride))


@converts("Gather")
def read_gather(reader: Reader, node: Node) -> Iterable[Layer]:
    """One index of an axis as a slice; rows of a constant table by the network's input."""
    if reader.is_constant(node, 0):
        table = reader.constant(node, 0)
        plain = table.ndim == 2 and int(node.get("axis", 0)) == 0
        node.require(plain, "in a constant is supported over rows only")
        yield Embed(*reader.base(node, node.inputs[1]), table)
        return
    node.require(reader.is_constant(node, 1), "by computed indices is not supported")
    index = reader.constants[node.inputs[1]]
    node.require(index.size == 1, "of several indices is not supported")
    shape = reader.input_shape(node)
    axis = int(node.get("axis", 0)) % len(shape)
    place = int(index.reshape(())) % shape[axis]
    name = f"{node.outputs[0]}_slice"
    yield _cut(name, node.inputs[0], shape, axis, slice(place, place + 1))
    yield Reshape(*reader.base(node, name))


@converts("Pad")
def read_pad(reader: Reader, node: Node) -> Iterable[Layer]:
    rank = len(reader.input_shape(node))
    node.require(node.get("mode", b"constant") == b"constant", "that repeats is not supported")
    node.require(not node.has_input(3), "with axes is not supported")
    value = float(node.get("value", 0.0))
    if node.has_input(2):
        value = float(reader.constant(node, 2).reshape(()))
    node.require(value == 0.0, f"with {value} instead of zeros is not supported")
    pads = reader.integers(node, 1, "pads")
    if pads is None or min(pads) < 0:
        raise node.refuse("needs constant paddings of 0 and more")
    yield Pad(*reader.base(node), pads[:rank], pads[rank:])


@converts("Resize", "Upsample")
def read_resize(reader: Reader, node: Node) -> Iterable[Layer]:
    before, after = reader.input_shape(node), reader.output_shape(node)
    whole = before[:2] == after[:2] and len(before) > 2
    factors = tuple(large // small for small, large in zip(before, after, strict=True))
    whole &= all(f * small == large for f, small, large in zip(factors, before, after, strict=True))
    node.require(whole, f"from {before} to {after} is supported by whole factors only")
    linear = node.get("mode", b"nearest") == b"linear"
    node.require(node.get("mode", b"nearest") != b"cubic", "by cubic is not supported")
    default = b"half_pixel" if reader.opset >= 11 else b"asymmetric"
    place = node.get("coordinate_transformation_mode", default)
    if linear:
        centred = place in (b"half_pixel", b"pytorch_half_pixel") and node.operator == "Resize"
        node.require(centred, f"by linear with {place.decode()} is not supported")
    elif place != b"asymmetric" and node.operator == "Resize":
        rounding = node.get("nearest_mode", b"round_prefer_floor")
        exact = place == b"half_pixel" and rounding.startswith(b"round_prefer")
        node.require(exact, f"by nearest with {place.decode()} is not supported")
    else:
        floored = node.get("nearest_mode", b"floor") == b"floor" or node.operator != "Resize"
        node.require(floored, "by nearest is supported with nearest_mode floor only")
    yield Upsample(*reader.base(node), factors[2:], linear)


@converts("Expand")
def read_expand(reader: Reader, node: Node) -> Iterable[Layer]:
    if reader.is_constant(node, 0):
        shape = reader.output_shape(node)
        value = np.broadcast_to(reader.constant(node, 0), shape).copy()
        yield Constant(node.outputs[0], (), shape, value)
        return
    same = reader.input_shape(node) == reader.output_shape(node)
    node.require(same, "that repeats values is not supported")
    yield Reshape(*reader.base(node))
