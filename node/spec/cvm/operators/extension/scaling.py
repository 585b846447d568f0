"""requantise and scaled_add: from wide sums back to few bits, half up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension.bounds import (
    clip_limit,
    half_of,
    prove_word,
)
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    Wide,
    cost_always,
    limit_of,
    precision_of,
    pure,
    widen,
)

_PRE_SHIFT_LIMIT, _FACTOR_LIMIT = 31, (1 << 15) - 1
_INTEGER = Field(Kind.INTEGER)
CLIP_FIELDS = {"shift": _INTEGER, "low": _INTEGER, "high": _INTEGER}


def shift_and_clip(attributes: Attributes, scaled: Wide) -> Wide:
    shifted: Wide = (scaled + half_of(attributes)) >> attributes.integer("shift")
    return np.clip(shifted, attributes.integer("low"), attributes.integer("high"))


def _requantised_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    source, multiplier = shapes
    channels = source[attributes.axis(len(source))]
    require(
        multiplier in ((channels,), (1,)),
        f"requantise: multiplier is {multiplier}, neither {(channels,)} nor (1,)",
    )
    return [source]


def _requantised_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    shift = attributes.ranged("pre_shift", 0, _PRE_SHIFT_LIMIT)
    narrowed = (limit_of(precisions[0]) + (1 << shift) - 1) >> shift
    prove_word(attributes, narrowed * limit_of(precisions[1]) + half_of(attributes))
    return [precision_of(clip_limit(attributes))]


def _requantise(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    source, multiplier = inputs
    shape = [1] * source.ndim
    shape[attributes.axis(source.ndim)] = multiplier.size
    narrowed = widen(source) >> attributes.integer("pre_shift")
    return shift_and_clip(attributes, narrowed * multiplier.reshape(shape))


def _added_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    require(shapes[0] == shapes[1], f"scaled_add: {shapes[0]} and {shapes[1]} differ")
    return [shapes[0]]


def _added_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    factors = [attributes.ranged(name, -_FACTOR_LIMIT, _FACTOR_LIMIT) for name in _FACTORS]
    limits = map(limit_of, precisions)
    total = sum(abs(factor) * limit for factor, limit in zip(factors, limits, strict=True))
    prove_word(attributes, total + half_of(attributes))
    return [precision_of(clip_limit(attributes))]


_FACTORS = ("own", "theirs")


def _scaled_add(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    own, theirs = (widen(x) * attributes.integer(f) for x, f in zip(inputs, _FACTORS, strict=True))
    return shift_and_clip(attributes, own + theirs)


OPERATORS = (
    Operator(
        "requantise",
        _requantised_shape,
        _requantised_precision,
        pure(_requantise),
        {
            "axis": Field(Kind.INTEGER, default=1),
            "pre_shift": Field(Kind.INTEGER, default=0),
            **CLIP_FIELDS,
        },
        input_count=2,
        cost=cost_always(3),
    ),
    Operator(
        "scaled_add",
        _added_shape,
        _added_precision,
        pure(_scaled_add),
        {"own": _INTEGER, "theirs": _INTEGER, **CLIP_FIELDS},
        input_count=2,
        cost=cost_always(3),
    ),
)
