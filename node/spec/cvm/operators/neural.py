"""conv2d, dense and max_pool2d."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from node.spec.cvm.attributes import Attributes, Field, Kind, require_range
from node.spec.cvm.errors import require, require_form
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

_ONES = Field(Kind.SHAPE, default=(1, 1))
_ZEROS = Field(Kind.SHAPE, default=(0, 0))
_NCHW = Field(Kind.TEXT, default="NCHW")
_BIAS = Field(Kind.FLAG, default=1)

_CONV_FIELDS = {
    "channels": Field(Kind.INTEGER),
    "kernel_size": Field(Kind.SHAPE),
    "strides": _ONES,
    "padding": _ZEROS,
    "dilation": _ONES,
    "groups": Field(Kind.INTEGER, default=1),
    "layout": _NCHW,
    "out_layout": Field(Kind.TEXT, default="__undef__"),
    "kernel_layout": Field(Kind.TEXT, default="OIHW"),
    "out_dtype": Field(Kind.TEXT, default="same"),
    "use_bias": _BIAS,
}
_DENSE_FIELDS = {"units": Field(Kind.INTEGER, minimum=1), "use_bias": _BIAS}
_POOL_FIELDS = {
    "pool_size": Field(Kind.SHAPE),
    "strides": _ONES,
    "padding": _ZEROS,
    "layout": _NCHW,
    "ceil_mode": Field(Kind.FLAG, default=0),
}

#: Padding of a maximum: below every int32 that a valid window can hold.
_LOWEST = -(1 << 31)


def _count_inputs(attributes: Attributes) -> int:
    return 3 if attributes.flag("use_bias") else 2


def _weighted_precision(attributes: Attributes, precisions: Sequence[int], terms: int) -> list[int]:
    """Operands of at most 8 bits, ``terms`` products, perhaps a bias."""
    for role, precision in zip(("input", "weight"), precisions, strict=False):
        require(precision <= 8, f"{attributes.operator}: {role} precision {precision} exceeds 8")
    total = precisions[0] + precisions[1] + bits_of(terms)
    if attributes.flag("use_bias"):
        total = max(total, precisions[2]) + 1
    return [total]


# --- conv2d


def _check_conv_layouts(attributes: Attributes) -> None:
    require(attributes.text("layout") == "NCHW", "conv2d.layout must be NCHW")
    require(attributes.text("kernel_layout") == "OIHW", "conv2d.kernel_layout must be OIHW")
    require(attributes.text("out_layout") in ("__undef__", "NCHW"), "conv2d.out_layout is not NCHW")
    require(attributes.text("out_dtype") in ("same", "int32"), "conv2d.out_dtype is not int32")


def _conv_weight_shape(attributes: Attributes, channels_in: int) -> Shape:
    channels, groups = attributes.integer("channels"), attributes.integer("groups")
    require(
        groups > 0 and channels_in % groups == 0 and channels % groups == 0,
        f"conv2d.groups {groups} does not divide {channels_in} and {channels} channels",
    )
    kernel = attributes.shape("kernel_size")
    require(len(kernel) == 2, "conv2d.kernel_size must have 2 numbers")
    return (channels, channels_in // groups, *kernel)


def _conv_length(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Output positions along one dimension."""
    spread = 1 + (kernel - 1) * dilation
    require(spread <= size + 2 * padding, "conv2d: the kernel exceeds the padded input")
    return (size + 2 * padding - spread) // stride + 1


def _conv_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    _check_conv_layouts(attributes)
    source = shapes[0]
    require(len(source) == 4, f"conv2d needs 4 dimensions, not {source}")
    weight = _conv_weight_shape(attributes, source[1])
    require(shapes[1] == weight, f"conv2d: weight is {shapes[1]}, not {weight}")
    if attributes.flag("use_bias"):
        require_form(shapes[2] == weight[:1], f"conv2d: bias is {shapes[2]}, not {weight[:1]}")
    padding = attributes.pair("padding")
    strides, dilation = attributes.pair("strides", 1), attributes.pair("dilation", 1)
    parts = zip(source[2:], weight[2:], strides, padding, dilation, strict=True)
    return [(source[0], weight[0], *(_conv_length(*part) for part in parts))]


def _conv_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return _weighted_precision(attributes, precisions, prod(inputs[1][1:]))


def _conv_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return prod(inputs[1][1:]) * 3 + attributes.flag("use_bias")


def _conv_windows(attributes: Attributes, source: Wide) -> Wide:
    """Windows of shape (batch, channels, height, width, kernel height, kernel width)."""
    (top, left), dilation = attributes.pair("padding"), attributes.pair("dilation", 1)
    padded: Wide = np.pad(source, ((0, 0), (0, 0), (top, top), (left, left)))
    kernel = attributes.shape("kernel_size")
    spread = [1 + (k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    down, right = attributes.pair("strides", 1)
    windows: Wide = np.lib.stride_tricks.sliding_window_view(padded, spread, axis=(2, 3))
    return windows[:, :, ::down, ::right, :: dilation[0], :: dilation[1]]


def _narrow(array: Array) -> Wide:
    """Operands pass through 8 bits in the official kernel for ungrouped convolutions."""
    return array.astype(np.int8).astype(np.int64)


def _conv(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    groups = attributes.integer("groups")
    cast = _narrow if groups == 1 else widen
    source, weight = cast(inputs[0]), cast(inputs[1])
    windows = _conv_windows(attributes, source)
    parts = [
        np.einsum("nchwyx,ocyx->nohw", window, kernel, optimize=True)
        for window, kernel in zip(
            np.split(windows, groups, axis=1), np.split(weight, groups), strict=True
        )
    ]
    total: Wide = np.concatenate(parts, axis=1)
    if attributes.flag("use_bias"):
        total += inputs[2][:, None, None]
    return total


# --- dense


def _dense_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    source, weight = shapes[0], shapes[1]
    require(len(source) == 2 and len(weight) == 2, f"dense needs 2-D, not {source} and {weight}")
    units = attributes.integer("units")
    expected = (units, source[1])
    require_form(weight == expected, f"dense: weight is {weight}, not {expected}")
    if attributes.flag("use_bias"):
        require_form(shapes[2] == (units,), f"dense: bias is {shapes[2]}, not {(units,)}")
    return [(source[0], units)]


def _dense_precision(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return _weighted_precision(attributes, precisions, inputs[0][1])


def _dense_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return inputs[1][1] * 3 + attributes.flag("use_bias")


def _dense(attributes: Attributes, inputs: Sequence[Array]) -> Wide:
    total = widen(inputs[0]) @ widen(inputs[1]).T
    return total + inputs[2] if attributes.flag("use_bias") else total


# --- max_pool2d


def _pool_padding(attributes: Attributes) -> tuple[int, int]:
    padding = attributes.shape("padding")
    require(len(padding) in (1, 2), f"max_pool2d.padding {padding} must have 1 or 2 numbers")
    for number in padding:
        require_range("max_pool2d.padding", number)
    return padding[0], padding[-1]


def _pool_length(size: int, window: int, stride: int, padding: int, ceil: bool) -> int:
    require_range("max_pool2d.pool_size", window, 0, size + 2 * padding)
    require(padding < window, f"max_pool2d: padding {padding} is not below the window {window}")
    room = size + 2 * padding - window
    if not ceil:
        return room // stride + 1
    length = -(-room // stride) + 1
    require((length - 1) * stride - padding < size, "max_pool2d: a window lies in the padding")
    return length


def _pool_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    source = shapes[0]
    require(len(source) == 4, f"max_pool2d needs 4 dimensions, not {source}")
    require(attributes.text("layout") == "NCHW", "max_pool2d.layout must be NCHW")
    windows = attributes.shape("pool_size")
    require(len(windows) == 2, "max_pool2d.pool_size must have 2 numbers")
    strides, ceil = attributes.pair("strides", 1), attributes.flag("ceil_mode")
    parts = zip(source[2:], windows, strides, _pool_padding(attributes), strict=True)
    return [(*source[:2], *(_pool_length(*part, ceil) for part in parts))]


def _pool_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return prod(attributes.shape("pool_size"))


def _pool(attributes: Attributes, inputs: Sequence[Array]) -> Array:
    (shape,) = _pool_shape(attributes, [inputs[0].shape])
    (down, right), (rows, columns) = attributes.pair("strides", 1), attributes.shape("pool_size")
    top, left = _pool_padding(attributes)
    height = (shape[2] - 1) * down + rows
    width = (shape[3] - 1) * right + columns
    padded = np.full((*shape[:2], height, width), _LOWEST, np.int32)
    source = inputs[0][:, :, : height - top, : width - left]
    padded[:, :, top : top + source.shape[2], left : left + source.shape[3]] = source
    windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(2, 3))
    largest: Array = windows[:, :, ::down, ::right].max(axis=(4, 5))
    return largest


OPERATORS = (
    Operator(
        "conv2d",
        _conv_shape,
        _conv_precision,
        pure(_conv),
        _CONV_FIELDS,
        _count_inputs,
        cost=_conv_cost,
    ),
    Operator(
        "dense",
        _dense_shape,
        _dense_precision,
        pure(_dense),
        _DENSE_FIELDS,
        _count_inputs,
        cost=_dense_cost,
    ),
    Operator("max_pool2d", _pool_shape, same_precision, pure(_pool), _POOL_FIELDS, cost=_pool_cost),
)
