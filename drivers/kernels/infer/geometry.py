"""Windows of convolutions and pools, read from a program's steps."""

from __future__ import annotations

from dataclasses import replace

from drivers.errors import BadArgument
from drivers.kernels.infer.layers import Pair, Window
from drivers.program import Step

Shape = tuple[int, ...]
Margins = tuple[int, int, int, int]


def numbers_of(step: Step, name: str, default: int) -> tuple[int, ...]:
    value = step.attributes.get(name, default)
    return value if isinstance(value, tuple) else (int(value),)


def pair_of(step: Step, name: str, default: int) -> Pair:
    """(rows, columns); one number stands for both. Raises `BadArgument` for more than two."""
    found = numbers_of(step, name, default)
    if len(found) not in (1, 2):
        raise BadArgument(f"{step.op}: {name} must be one or two numbers, not {found}")
    return found[0], found[-1]


def padding_of(step: Step) -> Margins:
    """(top, left, bottom, right), from one, two or all four. Raises `BadArgument`."""
    found = numbers_of(step, "padding", 0)
    if len(found) == 4:
        return found[0], found[1], found[2], found[3]
    rows, columns = pair_of(step, "padding", 0)
    return rows, columns, rows, columns


def window_of(step: Step, size: Pair) -> Window:
    """Raises `BadArgument` for one that does not move, or leaves some of the image out."""
    strides, dilation = pair_of(step, "strides", 1), pair_of(step, "dilation", 1)
    window = Window(size, strides, padding_of(step), dilation)
    if min(size + strides + dilation) < 1 or min(window.padding) < 0:
        raise BadArgument(f"{step.op}: no window is like {window}")
    return window


def as_planes(shape: Shape) -> Shape:
    """(n, c) as (n, c, 1, 1); four dimensions stay."""
    return (*shape, 1, 1) if len(shape) == 2 else shape


def has_planes(shape: Shape) -> bool:
    return len(shape) in (2, 4)


def same_planes(one: Shape, other: Shape) -> bool:
    """Whether the same bytes serve for both shapes."""
    return as_planes(one) == as_planes(other)


def output_size(window: Window, size: Shape) -> Shape:
    """Rows and columns of a convolution's result."""
    top, left, bottom, right = window.padding
    return tuple(
        (length + before + after - dilation * (kernel - 1) - 1) // stride + 1
        for length, before, after, dilation, kernel, stride in zip(
            size, (top, left), (bottom, right), window.dilation, window.size, window.strides,
            strict=True,
        )
    )  # fmt: skip


def stretch(window: Window, size: Shape, target: Shape) -> Window:
    """With so much padding after the image that the last window, which may stand out of it
    (``ceil_mode``), lies within."""
    top, left = window.padding[:2]
    reach = [
        (count - 1) * stride + dilation * (kernel - 1) + 1
        for count, stride, dilation, kernel in zip(
            target, window.strides, window.dilation, window.size, strict=True
        )
    ]
    ends = [
        max(after, end - before - length)
        for after, end, before, length in zip(
            window.padding[2:], reach, (top, left), size, strict=True
        )
    ]
    return replace(window, padding=(top, left, ends[0], ends[1]))
