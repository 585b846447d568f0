"""Layers that both integer forms write alike, on top of what `Builder` offers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from node.mrt.errors import UnsupportedOperator
from node.mrt.forms.builder import Builder, Target, Value
from node.mrt.forms.numbers import SIGNED_LIMIT, UNSIGNED_LIMIT, multiply_for
from node.mrt.layers import (
    Affine,
    Clip,
    Concatenate,
    Constant,
    Dense,
    Doubles,
    Embed,
    Function,
    Layer,
    Mean,
    Multiply,
    Rectify,
    Reshape,
    Slice,
    Slope,
    Transpose,
)
from node.spec.cvm.writer import Entry

#: Bits after the point of multipliers that stand before a sum, and what the products may reach.
_POINT_LIMIT, _FACTOR_LIMIT, _PRODUCT_LIMIT = 18, (1 << 14) - 1, 1 << 27


def ranked(builder: Builder, layer: Layer, index: int) -> Value:
    """An operand with as many dimensions as the layer's result."""
    value = builder.source(layer, index)
    shape = value.entry.shape
    shape = (1,) * (len(layer.shape) - len(shape)) + shape
    return builder.reshape(f"{layer.name}_{index}_ranked", value, shape)


def tabulate(layer: Function, reals: Doubles, target: Target) -> Doubles:
    """The function's integers; where it has no value, 0."""
    with np.errstate(all="ignore"):
        results = np.asarray(layer.function(reals), np.float64)
    known = np.where(np.isnan(results), 0.0, results)
    return np.clip(np.rint(known / target.scale), target.low, target.high)


def write_reshape(builder: Builder, layer: Reshape) -> Value:
    return builder.reshape(layer.name, builder.source(layer), layer.shape)


def write_embedding(builder: Builder, layer: Embed) -> Value:
    """Rows of the table in the target's scale."""
    if builder.source(layer).scale != 1.0:
        raise UnsupportedOperator("Gather", layer.name, "by computed indices is not supported")
    target = builder.target(layer)
    rows = np.clip(np.rint(layer.table / target.scale), target.low, target.high)
    table = builder.parameter(f"{layer.name}_table", rows, target.precision)
    entry = builder.writer.add("take", layer.name, [table, builder.source(layer).entry], axis=0)
    return Value(entry, target.scale, target.low, target.high)


def write_transpose(builder: Builder, layer: Transpose) -> Value:
    value = builder.source(layer)
    entry = builder.writer.add("transpose", layer.name, [value.entry], axes=layer.axes)
    return replace(value, entry=entry)


def write_slice(builder: Builder, layer: Slice) -> Value:
    value = builder.source(layer)
    entry = builder.writer.add(
        "strided_slice", layer.name, [value.entry],
        begin=layer.begin, end=layer.end, stride=layer.stride,
    )  # fmt: skip
    return replace(value, entry=entry)


def write_concatenation(builder: Builder, layer: Concatenate) -> Value:
    target = builder.target(layer)
    parts = [
        builder.fit_scale(f"{layer.name}_{index}", builder.source(layer, index), target)
        for index in range(len(layer.inputs))
    ]
    entry = builder.writer.add(
        "concatenate", layer.name, [part.entry for part in parts], axis=layer.axis
    )
    low, high = min(part.low for part in parts), max(part.high for part in parts)
    return Value(entry, target.scale, low, high)


def write_constant(builder: Builder, layer: Constant) -> Value:
    target = builder.target(layer)
    integers = np.clip(np.rint(layer.value / target.scale), target.low, target.high)
    entry = builder.parameter(layer.name, integers.astype(np.int32), target.precision)
    return Value(entry, target.scale, target.low, target.high)


def write_dense(builder: Builder, layer: Dense) -> Value:
    """The leading axes as one."""
    source = builder.source(layer)
    length = source.entry.shape[-1]
    rows = (source.entry.size // length, length)
    flat = builder.reshape(f"{layer.name}_rows", source, rows)
    found = builder.weigh(layer, flat, "dense", {"units": len(layer.weight)})
    return builder.reshape(f"{layer.name}_shaped", found, layer.shape)


def write_mean(builder: Builder, layer: Mean) -> Value:
    """The sum over the axes, moved to the end, then the division as a rescaling."""
    value, target = builder.source(layer), builder.target(layer)
    shape, rank = value.entry.shape, len(value.entry.shape)
    area = math.prod(shape[axis] for axis in layer.axes)
    kept = tuple(axis for axis in range(rank) if axis not in layer.axes)
    entry, last = value.entry, tuple(range(len(kept), rank))
    if layer.axes != last:
        axes = (*kept, *layer.axes)
        entry = builder.writer.add("transpose", f"{layer.name}_moved", [entry], axes=axes)
    sums = builder.writer.add("sum", f"{layer.name}_sum", [entry], axis=last)
    total = Value(sums, value.scale, value.low * area, value.high * area)
    ratio = np.array([value.scale / target.scale / area])
    found = builder.rescale(layer.name, total, ratio, target, axis=0)
    return builder.reshape(f"{layer.name}_shaped", found, layer.shape)


def write_relu(builder: Builder, layer: Rectify) -> Value:
    value = builder.source(layer)
    if value.low >= 0:
        return value
    return replace(value, entry=builder.writer.add("relu", layer.name, [value.entry]), low=0)


def write_clip(builder: Builder, layer: Clip) -> Value:
    value = builder.source(layer)
    low = max(value.low, round(max(layer.low / value.scale, -SIGNED_LIMIT)))
    high = min(value.high, round(min(layer.high / value.scale, UNSIGNED_LIMIT)))
    if (low, high) == (value.low, value.high):
        return value
    if low >= high:
        reason = f"leaves nothing of {layer.low}…{layer.high}"
        raise UnsupportedOperator("Clip", layer.name, reason)
    clipped = builder.writer.add("clip", layer.name, [value.entry], a_min=low, a_max=high)
    if clipped.precision > value.entry.precision:
        # The CVM counts a bound of 127 as 9 bits.
        clipped = builder.writer.add(
            "cvm_clip", f"{layer.name}_8", [clipped], precision=value.entry.precision
        )
    return Value(clipped, value.scale, low, high)


def write_product(builder: Builder, layer: Multiply) -> Value:
    target = builder.target(layer)
    first, second = builder.source(layer), builder.source(layer, 1)
    product = builder.writer.add(
        "broadcast_mul", f"{layer.name}_product", [first.entry, second.entry]
    )
    corners = [a * b for a in (first.low, first.high) for b in (second.low, second.high)]
    value = Value(product, first.scale * second.scale, min(corners), max(corners))
    ratio = np.array([value.scale / target.scale])
    return builder.rescale(layer.name, value, ratio, target)


def write_affine(builder: Builder, layer: Affine) -> Value:
    """What no layer beside it has taken in. A positive factor alone only changes the scale."""
    source = builder.source(layer)
    if layer.scale.size == 1 and not layer.offset.any() and float(layer.scale.reshape(())) > 0:
        return replace(source, scale=source.scale * float(layer.scale.reshape(())))
    target = builder.target(layer)
    ratio = layer.scale.astype(np.float64) * source.scale / target.scale
    return combine(
        builder,
        layer,
        [(source.entry, ratio)],
        target,
        layer.offset.astype(np.float64) / target.scale,
    )


def write_slope(builder: Builder, layer: Slope) -> Value:
    """What is above 0 as it is, what is below times the slope."""
    source, target = builder.source(layer), builder.target(layer)
    above = builder.writer.add("relu", f"{layer.name}_above", [source.entry])
    below = builder.writer.add("elemwise_sub", f"{layer.name}_below", [source.entry, above])
    unit = source.scale / target.scale
    terms = [(above, np.array([unit])), (below, layer.slope.astype(np.float64) * unit)]
    return combine(builder, layer, terms, target)


def combine(
    builder: Builder,
    layer: Layer,
    terms: list[tuple[Entry, Doubles]],
    target: Target,
    offset: Doubles | None = None,
) -> Value:
    """The sum of entries times real factors, plus an offset, with one shift for all."""
    largest = np.array([np.abs(ratio).max() for _, ratio in terms])
    limit = min(_FACTOR_LIMIT, _PRODUCT_LIMIT // max(entry.limit for entry, _ in terms))
    _, bits = multiply_for(layer.name, largest, limit)
    bits = max(1, min(bits, _POINT_LIMIT))
    total: Entry | None = None
    for index, (entry, ratio) in enumerate(terms):
        name = f"{layer.name}_{index}"
        factors = np.rint(ratio * 2.0**bits).astype(np.int64)
        factor = builder.parameter(f"{name}_factor", factors)
        product = builder.writer.add("broadcast_mul", name, [entry, factor])
        total = product if total is None else _add(builder, f"{name}_sum", total, product)
    assert total is not None
    if offset is not None and offset.any():
        bound = 8 * max(-target.low, target.high)  # what is beyond it is cut off in any case
        values = np.rint(np.clip(offset, -bound, bound) * 2.0**bits).astype(np.int64)
        constant = builder.parameter(f"{layer.name}_offset", values)
        total = _add(builder, f"{layer.name}_moved", total, constant)
    return builder.shift_down(layer.name, total, bits, target)


def _add(builder: Builder, name: str, first: Entry, second: Entry) -> Entry:
    return builder.writer.add("broadcast_add", name, [first, second])


COMMON: Mapping[type[Layer], Callable[[Any, Any], Value]] = {
    Affine: write_affine,
    Clip: write_clip,
    Concatenate: write_concatenation,
    Constant: write_constant,
    Dense: write_dense,
    Embed: write_embedding,
    Mean: write_mean,
    Multiply: write_product,
    Rectify: write_relu,
    Reshape: write_reshape,
    Slice: write_slice,
    Slope: write_slope,
    Transpose: write_transpose,
}
