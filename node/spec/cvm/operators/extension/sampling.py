"""upsample and resize: nearest neighbour, or linear with one rounding at the end."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension import window
from node.spec.cvm.operators.extension.bounds import divide_half_up, prove_wide
from node.spec.cvm.operators.operator import (
    Array,
    InferShapes,
    Operator,
    Shape,
    Shapes,
    Wide,
    limit_of,
    pure,
    widen,
)

NEAREST, LINEAR = "nearest", "linear"
_METHOD = Field(Kind.TEXT, default=NEAREST)


def _spatial(attributes: Attributes, shapes: Shapes) -> Shape:
    name, method = attributes.operator, attributes.text("method")
    require(3 <= len(shapes[0]) <= 5, f"{name} needs 3 to 5 dimensions, not {shapes[0]}")
    require(method in (NEAREST, LINEAR), f"{name}.method {method[:20]!r} is unknown")
    return shapes[0][2:]


def _upsampled_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    spatial = _spatial(attributes, shapes)
    scale = window.numbers(attributes, "scale", len(spatial), 1, 1)
    return [(*shapes[0][:2], *(n * s for n, s in zip(spatial, scale, strict=True)))]


def _resized_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    spatial, size = _spatial(attributes, shapes), attributes.shape("size")
    require(
        len(size) == len(spatial) and min(size) > 0,
        f"resize.size {size} must be {len(spatial)} numbers above 0",
    )
    return [(*shapes[0][:2], *size)]


def _denominator(before: int, after: int) -> int:
    """Source positions of an axis are whole multiples of 1 / this."""
    return 2 * after // gcd(before, after)


def _precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    if attributes.text("method") == LINEAR:
        pairs = zip(inputs[0][2:], outputs[0][2:], strict=True)
        divisor = prod(_denominator(*pair) for pair in pairs)
        prove_wide(attributes, (2 * limit_of(precisions[0]) + 1) * divisor)
    return [precisions[0]]


def _cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return 3 << (len(inputs[0]) - 2) if attributes.text("method") == LINEAR else 1


def _resample(attributes: Attributes, array: Array, shape: Shape) -> Wide:
    """Axes that shrink come first, so that nothing between is larger than both ends."""
    values, divisor = widen(array), 1
    for axis in sorted(range(2, array.ndim), key=lambda axis: shape[axis] > array.shape[axis]):
        if attributes.text("method") == LINEAR:
            values = _stretch(values, axis, shape[axis])
            divisor *= _denominator(array.shape[axis], shape[axis])
        else:
            places = np.arange(shape[axis], dtype=np.int64) * array.shape[axis] // shape[axis]
            values = values.take(places, axis)
    return divide_half_up(values, divisor)


def _stretch(values: Wide, axis: int, length: int) -> Wide:
    """Interpolated along an axis, times its denominator. Pixels have their place in the middle."""
    size = values.shape[axis]
    divisor, common = _denominator(size, length), gcd(size, length)
    places = (2 * np.arange(length, dtype=np.int64) + 1) * (size // common) - length // common
    base = places // divisor
    right = (places - base * divisor).reshape(-1, *(1,) * (values.ndim - 1 - axis))
    ends = (values.take(np.clip(base + offset, 0, size - 1), axis) for offset in (0, 1))
    stretched: Wide = next(ends) * (divisor - right) + next(ends) * right
    return stretched


def _sampler(name: str, infer_shapes: InferShapes, field: dict[str, Field]) -> Operator:
    def compute(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
        (shape,) = infer_shapes(attributes, [inputs[0].shape])
        return _resample(attributes, inputs[0], tuple(shape))

    fields = {**field, "method": _METHOD}
    return Operator(name, infer_shapes, _precision, pure(compute), fields, cost=_cost)


OPERATORS = (
    _sampler("upsample", _upsampled_shape, {"scale": Field(Kind.SHAPE)}),
    _sampler("resize", _resized_shape, {"size": Field(Kind.SHAPE)}),
)
