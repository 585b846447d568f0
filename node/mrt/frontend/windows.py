"""Windows that move: their attributes, and the poolings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from node.mrt.frontend.node import Node
from node.mrt.frontend.reader import Reader, converts
from node.mrt.layers import AveragePool, Layer, MaxPool, Mean, Shape, Window
from node.spec.cvm.attributes import MAXIMUM


def read_window(reader: Reader, node: Node, size: Shape) -> Window:
    """Window of a node with kernel ``size``."""
    rank = len(size)
    node.require(1 <= rank <= 3, f"in {rank} dimensions is not supported")
    ones, zeros = (1,) * rank, (0,) * rank
    strides, dilation = _numbers(node, "strides", ones), _numbers(node, "dilations", ones)
    ceil = bool(node.get("ceil_mode", 0))
    automatic = node.get("auto_pad", b"NOTSET")
    if automatic in (b"SAME_UPPER", b"SAME_LOWER"):
        node.require(node.operator != "ConvTranspose", "with auto_pad SAME is not supported")
        sizes = reader.input_shape(node)[2:]
        before, after = _pad_same(sizes, size, strides, dilation, automatic == b"SAME_UPPER")
    else:
        pads = tuple(int(each) for each in node.get("pads", zeros * 2))
        before, after = (zeros, zeros) if automatic == b"VALID" else (pads[:rank], pads[rank:])
    node.require(min(*before, *after) >= 0, "with negative padding is not supported")
    largest = max(*size, *strides, *dilation, *before, *after)
    node.require(largest <= MAXIMUM, f"with {largest} in its window is not supported")
    return Window(size, strides, before, after, dilation, ceil)


def _numbers(node: Node, name: str, default: Shape) -> Shape:
    values = tuple(int(each) for each in node.get(name, default))
    node.require(len(values) == len(default), f"has {name} {values} for {len(default)} dimensions")
    return values


def _pad_same(
    sizes: Shape, kernel: Shape, strides: Shape, dilation: Shape, upper: bool
) -> tuple[Shape, Shape]:
    """Padding that makes the result ``ceil(size / stride)`` long."""
    before, after = [], []
    for size, length, stride, spread in zip(sizes, kernel, strides, dilation, strict=True):
        steps = -(-size // stride)
        total = max((steps - 1) * stride + (length - 1) * spread + 1 - size, 0)
        small, large = total // 2, total - total // 2
        before.append(small if upper else large)
        after.append(large if upper else small)
    return tuple(before), tuple(after)


def _read_pool_window(reader: Reader, node: Node) -> Window:
    size = tuple(int(each) for each in node.get("kernel_shape", ()))
    window = read_window(reader, node, size)
    node.require(set(window.dilation) == {1}, "with dilation is not supported")
    sizes = reader.input_shape(node)[2:]
    return replace(window, ceil=window.ceil and _stands_out(sizes, window))


def _stands_out(sizes: Shape, window: Window) -> bool:
    """Whether rounding up makes a difference."""
    return any(
        (size + before + after - length) % stride
        for size, before, after, length, stride in zip(
            sizes, window.before, window.after, window.size, window.strides, strict=True
        )
    )


@converts("MaxPool")
def read_max_pool(reader: Reader, node: Node) -> Iterable[Layer]:
    node.require(len(node.outputs) == 1, "with indices is not supported")
    yield MaxPool(*reader.base(node), _read_pool_window(reader, node))


@converts("AveragePool")
def read_average_pool(reader: Reader, node: Node) -> Iterable[Layer]:
    """What stands out of the padding does not count in ONNX, as `AveragePool` would have it."""
    window, counts = _read_pool_window(reader, node), bool(node.get("count_include_pad", 0))
    node.require(
        not (counts and window.ceil), "with ceil_mode and count_include_pad is not supported"
    )
    counts |= not (window.is_padded or window.ceil)
    yield AveragePool(*reader.base(node), window, counts)


@converts("GlobalAveragePool")
def read_global_average(reader: Reader, node: Node) -> Iterable[Layer]:
    yield Mean(*reader.base(node), tuple(range(2, len(reader.input_shape(node)))))


@converts("GlobalMaxPool")
def read_global_maximum(reader: Reader, node: Node) -> Iterable[Layer]:
    size = reader.input_shape(node)[2:]
    ones, zeros = (1,) * len(size), (0,) * len(size)
    yield MaxPool(*reader.base(node), Window(size, ones, zeros, zeros, ones))


@converts("ReduceMean")
def read_mean(reader: Reader, node: Node) -> Iterable[Layer]:
    rank = len(reader.input_shape(node))
    axes = reader.integers(node, 1, "axes")
    if not axes:
        empty = bool(node.get("noop_with_empty_axes", 0))
        node.require(not empty, "of no axes is not supported")
        axes = tuple(range(rank))
    yield Mean(*reader.base(node), tuple(sorted(axis % rank for axis in axes)))
