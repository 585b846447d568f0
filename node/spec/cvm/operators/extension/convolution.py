"""conv1d, conv2d and conv3d of bytes: grouped, dilated, padded unevenly."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension import window
from node.spec.cvm.operators.extension.bounds import prove_products
from node.spec.cvm.operators.operator import Array, Operator, Shape, Shapes, Wide, pure, widen

WEIGHTED_FIELDS = {
    "channels": Field(Kind.INTEGER, minimum=1),
    "kernel_size": Field(Kind.SHAPE),
    **window.FIELDS,
    "groups": Field(Kind.INTEGER, default=1, minimum=1),
    "use_bias": Field(Kind.FLAG, default=1),
}
_POSITIONS, _KERNEL = "XYZ", "xyz"
#: Elements of windows that are written out at a time.
_HELD = 1 << 23


def count_inputs(attributes: Attributes) -> int:
    return 3 if attributes.flag("use_bias") else 2


def check_weights(attributes: Attributes, shapes: Shapes, weight: Shape) -> None:
    """Weights of the shape that follows from the attributes, and a bias of one a channel."""
    name = attributes.operator
    require(shapes[1] == weight, f"{name}: weight is {shapes[1]}, not {weight}")
    if attributes.flag("use_bias"):
        bias = (attributes.integer("channels"),)
        require(shapes[2] == bias, f"{name}: bias is {shapes[2]}, not {bias}")


def check_groups(attributes: Attributes, channels_in: int) -> int:
    groups, channels = attributes.integer("groups"), attributes.integer("channels")
    require(
        channels_in % groups == 0 and channels % groups == 0,
        f"{attributes.operator}.groups {groups} does not divide {channels_in} and {channels}",
    )
    return groups


def _convolution(count: int) -> Operator:
    def infer_shapes(attributes: Attributes, shapes: Shapes) -> list[Shape]:
        window.check_dimensions(attributes, shapes[0], count)
        moved = window.read_window(attributes, "kernel_size", count)
        channels = attributes.integer("channels")
        inputs = shapes[0][1] // check_groups(attributes, shapes[0][1])
        check_weights(attributes, shapes, (channels, inputs, *moved.size))
        positions = window.count_positions(attributes, moved, shapes[0])
        return [(shapes[0][0], channels, *positions)]

    def compute(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
        (shape,) = infer_shapes(attributes, [array.shape for array in inputs])
        moved = window.read_window(attributes, "kernel_size", count)
        views = window.view_windows(widen(inputs[0]), moved, shape[2:], 0)
        total = _sum_groups(views, widen(inputs[1]), attributes.integer("groups"), count)
        return add_bias(attributes, inputs, total)

    return Operator(
        f"conv{count}d",
        infer_shapes,
        _infer_precisions,
        pure(compute),
        WEIGHTED_FIELDS,
        count_inputs,
        cost=_cost,
    )


def _sum_groups(views: Wide, weight: Wide, groups: int, count: int) -> Wide:
    if groups == 1:
        return _sum_products(views, weight, count)
    here, kernel = _POSITIONS[:count], _KERNEL[:count]
    grouped = views.reshape(len(views), groups, -1, *views.shape[2:])
    weights = weight.reshape(groups, -1, *weight.shape[1:])
    total: Wide = np.einsum(f"ngc{here}{kernel},goc{kernel}->ngo{here}", grouped, weights)
    return total.reshape(len(views), len(weight), *views.shape[2 : 2 + count])


def _sum_products(views: Wide, weight: Wide, count: int) -> Wide:
    """In parts of the batch or of a spatial dimension, as the windows are written out for it."""
    axes = (0, *range(2, 2 + count))
    longest = max(axes, key=lambda axis: views.shape[axis])
    if views.size > _HELD and views.shape[longest] > 1:
        halves = np.array_split(views, 2, axis=longest)
        return np.concatenate([_sum_products(each, weight, count) for each in halves], longest)
    here, kernel = _POSITIONS[:count], _KERNEL[:count]
    total: Wide = np.einsum(f"nc{here}{kernel},oc{kernel}->no{here}", views, weight, optimize=True)
    return total


def add_bias(attributes: Attributes, inputs: Sequence[Array], total: Wide) -> Wide:
    if attributes.flag("use_bias"):
        total += inputs[2].reshape(-1, *(1,) * (total.ndim - 2))
    return total


def _infer_precisions(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    terms = prod(inputs[1][1:])
    return prove_products(attributes, precisions, terms, bias=attributes.flag("use_bias"))


def _cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return prod(inputs[1][1:]) * 3 + attributes.flag("use_bias")


OPERATORS = tuple(_convolution(count) for count in (1, 2, 3))
