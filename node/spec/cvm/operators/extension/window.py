"""Windows that move over one to three dimensions: their attributes, lengths and views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.spec.cvm.attributes import Attributes, Field, Kind, require_range
from node.spec.cvm.errors import require
from node.spec.cvm.operators.operator import Shape

_SIZE_LIMIT = 4096
PADDED_LIMIT = 1 << 27
"""Elements of an input with its padding, which has to be held."""
EMPTY = Field(Kind.SHAPE, default=())

#: Of every window. Left out, strides and dilation are 1 and padding is 0.
FIELDS = {"strides": EMPTY, "padding": EMPTY, "dilation": EMPTY}


@dataclass(frozen=True)
class Window:
    """How a kernel moves; one number a spatial dimension."""

    size: Shape
    strides: Shape
    before: Shape
    after: Shape
    dilation: Shape

    @property
    def spread(self) -> Shape:
        """Input positions from the first to the last that a kernel meets."""
        return tuple(1 + (k - 1) * d for k, d in zip(self.size, self.dilation, strict=True))

    @property
    def taps(self) -> int:
        return prod(self.size)


def numbers(attributes: Attributes, name: str, count: int, default: int, minimum: int) -> Shape:
    """``count`` numbers of an attribute, of which one may stand for all."""
    given = attributes.shape(name) or (default,)
    given = given * count if len(given) == 1 else given
    require(len(given) == count, f"{attributes.operator}.{name} must have {count} numbers")
    for number in given:
        require_range(f"{attributes.operator}.{name}", number, minimum, _SIZE_LIMIT)
    return given


def paddings(attributes: Attributes, count: int) -> tuple[Shape, Shape]:
    """Before and after each dimension: ``count`` numbers for both, or twice as many."""
    given = attributes.shape("padding")
    both = numbers(attributes, "padding", 2 * count if len(given) == 2 * count else count, 0, 0)
    return both[:count], both[-count:]


def read_window(attributes: Attributes, name: str, count: int) -> Window:
    """The window whose size is the attribute ``name``, over ``count`` dimensions."""
    size = attributes.shape(name)
    require(len(size) == count, f"{attributes.operator}.{name} must have {count} numbers")
    before, after = paddings(attributes, count)
    dilated = "dilation" in attributes.values
    return Window(
        numbers(attributes, name, count, 1, 1),
        numbers(attributes, "strides", count, 1, 1),
        before,
        after,
        numbers(attributes, "dilation", count, 1, 1) if dilated else (1,) * count,
    )


def check_dimensions(attributes: Attributes, shape: Shape, count: int) -> None:
    """(batch, channels, …) with ``count`` dimensions after them."""
    require(
        len(shape) == count + 2, f"{attributes.operator} needs {count + 2} dimensions, not {shape}"
    )


def count_positions(
    attributes: Attributes, window: Window, shape: Shape, *, ceil: bool = False
) -> Shape:
    """Where the window stands along each spatial dimension of an input of ``shape``; ``ceil``
    lets the last stand out."""
    lengths, held = [], shape[0] * shape[1]
    for size, spread, stride, before, after in zip(
        shape[2:], window.spread, window.strides, window.before, window.after, strict=True
    ):
        room = size + before + after - spread
        require(room >= 0, f"{attributes.operator}: the window exceeds the padded input")
        lengths.append((-(-room // stride) if ceil else room // stride) + 1)
        held *= max(size + before + after, (lengths[-1] - 1) * stride + spread)
    require(held <= PADDED_LIMIT, f"{attributes.operator}: the padded input has {held} elements")
    return tuple(lengths)


def view_windows(
    array: NDArray[Any], window: Window, positions: Sequence[int], fill: int
) -> NDArray[Any]:
    """Shape (batch, channels, *positions, *size), with ``fill`` around the input."""
    count = len(window.size)
    pads, cuts = [(0, 0), (0, 0)], [slice(None), slice(None)]
    for size, spread, stride, before, length in zip(
        array.shape[2:], window.spread, window.strides, window.before, positions, strict=True
    ):
        wanted = (length - 1) * stride + spread
        pads.append((before, max(0, wanted - before - size)))
        cuts.append(slice(wanted))
    padded = np.pad(array, pads, constant_values=fill)[tuple(cuts)]
    axes = tuple(range(2, 2 + count))
    views = np.lib.stride_tricks.sliding_window_view(padded, window.spread, axis=axes)
    moved = (slice(None, None, step) for step in (*window.strides, *window.dilation))
    return views[(slice(None), slice(None), *moved)]
