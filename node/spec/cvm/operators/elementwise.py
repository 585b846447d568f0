"""Operators on single elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import CvmLoadError, CvmRunError, require, require_form
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shapes,
    Wide,
    limit_of,
    number_precision,
    pure,
    same_precision,
    sum_precision,
    widen,
)

_INT32_MAXIMUM = (1 << 31) - 1

_CLIP_FIELDS = {"a_min": Field(Kind.INTEGER), "a_max": Field(Kind.INTEGER)}
_PRECISION_FIELDS = {
    "precision": Field(Kind.INTEGER),
    "is_sign": Field(Kind.FLAG, default=1),
}
_SHIFT_FIELDS = {**_PRECISION_FIELDS, "shift_bit": Field(Kind.INTEGER)}


def _same_shape(attributes: Attributes, shapes: Shapes) -> list[tuple[int, ...]]:
    for shape in shapes[1:]:
        require_form(
            shape == shapes[0],
            f"{attributes.operator} needs equal shapes, not {shapes[0]} and {shape}",
        )
    return [shapes[0]]


def _clip_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    low = attributes.ranged("a_min", -_INT32_MAXIMUM, _INT32_MAXIMUM)
    high = attributes.ranged("a_max", -_INT32_MAXIMUM, _INT32_MAXIMUM)
    require(low < high, f"clip.a_min {low} is not below clip.a_max {high}")
    return [number_precision(max(abs(low), abs(high)))]


def _given_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return [attributes.ranged("precision", 1, 32)]


def _shift_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    attributes.ranged("shift_bit", 1, 32)
    return [attributes.ranged("precision", 1, 32)]


def _left_shift_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    shifted = _shift_precision(attributes, inputs, outputs, precisions)
    if precisions[0] + attributes.integer("shift_bit") > 32:
        raise CvmLoadError("cvm_left_shift: input precision + shift_bit exceed 32", logic=False)
    return shifted


def _six_bits(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    """The number of bits of an int32 is at most 32, which 6 bits hold."""
    return [6]


def _count_bits(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    """Bits of the magnitude, at least 1."""
    magnitude = np.abs(widen(inputs[0]))
    bits = np.ones(magnitude.shape, np.int64)
    for exponent in range(1, 32):
        bits += magnitude >= (1 << exponent)
    return bits


def _clip(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    low, high = attributes.integer("a_min"), attributes.integer("a_max")
    return np.clip(inputs[0], low, high)


def _clip_to_precision(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    """``is_sign`` is ignored: the range is always symmetric."""
    limit = limit_of(attributes.integer("precision"))
    return np.clip(inputs[0], -limit, limit)


def _right_shift(attributes: Attributes, inputs: Sequence[Array]) -> Array | Wide:
    """Shift right, half up, then clip: with the official kernel's three ways around it."""
    precision, shift = attributes.integer("precision"), attributes.integer("shift_bit")
    values = inputs[0]
    if precision == 1:
        return np.zeros_like(values)
    if shift >= 31:
        return values >> 31
    # The addition wraps in 32 bits, where shift is 1 and the value is the largest one.
    rounded: Array = ((values >> (shift - 1)) + np.int32(1)) >> 1
    if precision + shift >= 32:
        return rounded
    limit = limit_of(precision)
    return np.clip(rounded, -limit, limit)


def _left_shift(attributes: Attributes, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
    """The official CPU kernel fails whenever it is called; a model that uses it cannot run."""
    raise CvmRunError("cvm_left_shift fails on every input in this virtual machine", logic=False)


def _unary(name: str, function: Callable[[Array], Array | Wide]) -> Operator:
    return Operator(
        name,
        _same_shape,
        same_precision,
        pure(lambda attributes, inputs: function(inputs[0])),
        in_place=name != "negative",
    )


OPERATORS = (
    _unary("relu", lambda x: np.maximum(x, 0)),
    _unary("abs", lambda x: np.abs(widen(x))),
    _unary("negative", lambda x: -widen(x)),
    Operator("cvm_precision", _same_shape, _six_bits, pure(_count_bits), in_place=True),
    Operator("clip", _same_shape, _clip_precision, pure(_clip), _CLIP_FIELDS, in_place=True),
    Operator(
        "cvm_clip",
        _same_shape,
        _given_precision,
        pure(_clip_to_precision),
        _PRECISION_FIELDS,
        in_place=True,
    ),
    Operator(
        "cvm_right_shift",
        _same_shape,
        _shift_precision,
        pure(_right_shift),
        _SHIFT_FIELDS,
        in_place=True,
    ),
    Operator(
        "cvm_left_shift",
        _same_shape,
        _left_shift_precision,
        _left_shift,
        _SHIFT_FIELDS,
        in_place=True,
    ),
    Operator(
        "elemwise_add",
        _same_shape,
        sum_precision,
        pure(lambda attributes, inputs: widen(inputs[0]) + inputs[1]),
        input_count=2,
        in_place=True,
    ),
    Operator(
        "elemwise_sub",
        _same_shape,
        sum_precision,
        pure(lambda attributes, inputs: widen(inputs[0]) - inputs[1]),
        input_count=2,
        in_place=True,
    ),
)
