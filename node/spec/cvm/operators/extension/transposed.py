"""conv_transpose1d, conv_transpose2d and conv_transpose3d of bytes (deconvolution)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

import numpy as np

from node.spec.cvm.attributes import Attributes
from node.spec.cvm.errors import require
from node.spec.cvm.operators.extension import window
from node.spec.cvm.operators.extension.bounds import prove_products
from node.spec.cvm.operators.extension.convolution import (
    WEIGHTED_FIELDS,
    add_bias,
    check_groups,
    check_weights,
    count_inputs,
)
from node.spec.cvm.operators.operator import Array, Operator, Shape, Shapes, Wide, pure, widen

_FIELDS = {**WEIGHTED_FIELDS, "output_padding": window.EMPTY}
#: Of a kernel: each is one pass over the input.
_TAPS_LIMIT = 4096


def _lengths(attributes: Attributes, moved: window.Window, spatial: Shape) -> Shape:
    extra = window.numbers(attributes, "output_padding", len(spatial), 0, 0)
    lengths = []
    for size, spread, stride, dilation, before, after, more in zip(
        *(spatial, moved.spread, moved.strides, moved.dilation, moved.before, moved.after, extra),
        strict=True,
    ):
        name = attributes.operator
        require(more < max(stride, dilation), f"{name}.output_padding {more} is too large")
        lengths.append((size - 1) * stride + spread - before - after + more)
        require(lengths[-1] > 0, f"{name}: the padding leaves nothing")
    return tuple(lengths)


def _meeting_taps(moved: window.Window) -> int:
    """Most taps of the kernel that reach one output element."""
    return prod(
        -(-size // (stride // gcd(stride, dilation)))
        for size, stride, dilation in zip(moved.size, moved.strides, moved.dilation, strict=True)
    )


def _terms(attributes: Attributes, channels_in: int, count: int) -> int:
    moved = window.read_window(attributes, "kernel_size", count)
    return channels_in // attributes.integer("groups") * _meeting_taps(moved)


def _deconvolution(count: int) -> Operator:
    def infer_shapes(attributes: Attributes, shapes: Shapes) -> list[Shape]:
        window.check_dimensions(attributes, shapes[0], count)
        moved = window.read_window(attributes, "kernel_size", count)
        name = attributes.operator
        require(moved.taps <= _TAPS_LIMIT, f"{name}: {moved.taps} taps exceed {_TAPS_LIMIT}")
        channels, channels_in = attributes.integer("channels"), shapes[0][1]
        groups = check_groups(attributes, channels_in)
        check_weights(attributes, shapes, (channels_in, channels // groups, *moved.size))
        return [(shapes[0][0], channels, *_lengths(attributes, moved, shapes[0][2:]))]

    def compute(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
        (shape,) = infer_shapes(attributes, [array.shape for array in inputs])
        moved = window.read_window(attributes, "kernel_size", count)
        groups = attributes.integer("groups")
        parts = zip(
            np.split(widen(inputs[0]), groups, axis=1),
            np.split(widen(inputs[1]), groups),
            strict=True,
        )
        total = np.concatenate([_spread(moved, *part, shape[2:]) for part in parts], axis=1)
        return add_bias(attributes, inputs, total)

    def infer_precisions(
        attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
    ) -> list[int]:
        terms = _terms(attributes, inputs[0][1], count)
        return prove_products(attributes, precisions, terms, bias=attributes.flag("use_bias"))

    def cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
        return _terms(attributes, inputs[0][1], count) * 3 + attributes.flag("use_bias")

    return Operator(
        f"conv_transpose{count}d",
        infer_shapes,
        infer_precisions,
        pure(compute),
        _FIELDS,
        count_inputs,
        cost=cost,
    )


def _spread(moved: window.Window, source: Wide, weight: Wide, lengths: Shape) -> Wide:
    """Each input element times the kernel, added where it falls; what the padding cuts off is
    neither held nor computed."""
    total = np.zeros((len(source), weight.shape[1], *lengths), np.int64)
    for tap in np.ndindex(*moved.size):
        axes = zip(
            *(tap, moved.dilation, moved.strides, moved.before, source.shape[2:], lengths),
            strict=True,
        )
        met = [_meet(t * d - b, s, size, n) for t, d, s, b, size, n in axes]
        cells = source[(slice(None), slice(None), *(read for read, _ in met))]
        part = np.tensordot(cells, weight[(slice(None), slice(None), *tap)], axes=(1, 0))
        total[(slice(None), slice(None), *(place for _, place in met))] += np.moveaxis(part, -1, 1)
    return total


def _meet(offset: int, stride: int, size: int, length: int) -> tuple[slice, slice]:
    """Along an axis: the inputs that a tap puts within the result, and where it puts them, the
    first input of all falling on ``offset``."""
    first = max(0, -(offset // stride))
    end = max(first, min(size, -((offset - length) // stride)))
    start = first * stride + offset
    return slice(first, end), slice(start, start + (end - first) * stride, stride)


OPERATORS = tuple(_deconvolution(count) for count in (1, 2, 3))
