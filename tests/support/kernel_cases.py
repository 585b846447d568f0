"""Layers of awkward shapes with extreme values, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.cpu.layers import Convolution, Image, Pool, Rescale, Residual, Window

Generator = np.random.Generator
ALL = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class ConvolutionCase:
    form: Convolution
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    offset: NDArray[np.int32]
    source: NDArray[np.uint8]
    other: NDArray[np.uint8] | None

    def __str__(self) -> str:
        source, window = self.form.source, self.form.window
        size = f"{source.batch}x{source.height}x{source.width}x{source.channels}"
        return (
            f"{size} by {window.rows}x{window.columns} to {self.form.target.channels} "
            f"in {self.form.groups} groups, rescaled {self.form.rescaled}"
        )


def draw_bytes(random: Generator, image: Image) -> NDArray[np.uint8]:
    """Bytes of an image: any, or the ends alone."""
    drawn = image.empty()
    kind = random.integers(3)
    if kind == 0:
        drawn[...] = random.choice([0, 255], drawn.shape)
    elif kind == 1:
        drawn[...] = 255
    else:
        drawn[...] = random.integers(0, 256, drawn.shape)
    return drawn


def draw_weight(random: Generator, shape: tuple[int, ...]) -> NDArray[np.int8]:
    kind = random.integers(3)
    if kind == 0:
        return random.choice(np.array([-128, -127, 127], np.int8), shape)
    if kind == 1:
        return np.full(shape, 127, np.int8)
    return random.integers(-128, 128, shape).astype(np.int8)


def draw_image(random: Generator, shape: tuple[int, int, int, int]) -> Image:
    """Of a batch, height, width and channels; pixels lie apart, or end to end."""
    channels = shape[3]
    spare = int(random.choice([0, 0, -channels % 16, 5, 16]))
    return Image(*shape, channels + spare, int(random.choice([0, 128])))


def draw_window(random: Generator, height: int, width: int) -> Window:
    """One that fits the image with its padding."""
    while True:
        rows, columns = (int(x) for x in random.choice([1, 1, 2, 3, 3, 3, 5, 7], 2))
        strides = [int(x) for x in random.choice([1, 1, 2, 3], 2)]
        dilations = [int(x) for x in random.choice([1, 1, 1, 2], 2)]
        pads = [int(x) for x in random.integers(0, 4, 4)] if random.random() < 0.7 else [0] * 4
        window = Window(rows, columns, *strides, *pads, *dilations)
        if min(size_of(window, height, width)) > 0:
            return window


def size_of(window: Window, height: int, width: int) -> tuple[int, int]:
    tall = height + window.top + window.bottom - (window.rows - 1) * window.row_dilation - 1
    wide = width + window.left + window.right - (window.columns - 1) * window.column_dilation - 1
    return tall // window.row_stride + 1, wide // window.column_stride + 1


def draw_bounds(random: Generator, zero: int) -> tuple[int, int]:
    """What a byte with this zero can hold, or less."""
    low, high = -zero, 255 - zero
    return (low, high) if random.random() < 0.5 else (low // 2, high // 2)


def rescale_for(
    random: Generator, most: int, channels: int, zero: int
) -> tuple[Rescale, NDArray[np.int32], NDArray[np.int32]]:
    """One that keeps every product of sums up to ``most`` within int32."""
    pre_shift = max(0, most.bit_length() - int(random.integers(12, 16)))
    reach = (most >> pre_shift) + 2
    multiplier = random.integers(1, max(2, (2**30) // reach), channels).astype(np.int32)
    shift = int(random.integers(max(1, reach.bit_length() + 6), 30))
    offset = random.integers(-(2**20), 2**20, channels).astype(np.int32) + (1 << shift - 1) // 2
    pre = (-reach // 2, reach // 3) if random.random() < 0.3 else ALL
    pre_half = 1 << pre_shift - 1 if pre_shift and random.random() < 0.5 else 0
    by = Rescale(pre_half, pre_shift, *pre, shift, *draw_bounds(random, zero))
    return by, multiplier, offset.astype(np.int32)


def draw_residual(random: Generator, target: Image) -> Residual:
    own, theirs = (int(x) for x in random.integers(1, 2**15, 2))
    shift = int(random.integers(12, 17))
    spare = int(random.choice([0, 7, 16]))
    zero = int(random.choice([0, 128]))
    bounds = draw_bounds(random, target.zero)
    stride = target.channels + spare
    return Residual(own, theirs, 1 << shift - 1, shift, *bounds, stride, zero)


def draw_convolution(
    random: Generator,
    source: Image,
    window: Window,
    outer: int,
    groups: int = 1,
    rescaled: bool = True,
    joins: bool = False,
) -> ConvolutionCase:
    """A layer of that form with drawn numbers."""
    out = size_of(window, source.height, source.width)
    target = draw_image(random, (source.batch, *out, outer))
    shape = (outer, source.channels // groups, window.rows, window.columns)
    weight = draw_weight(random, shape)
    bias = random.integers(-(2**16), 2**16, outer).astype(np.int32)
    most = int(np.abs(weight.astype(np.int64)).sum((1, 2, 3)).max()) * 255 + 2**16
    by, multiplier, offset = rescale_for(random, most, outer, target.zero)
    residual = draw_residual(random, target) if joins else Residual()
    bounds = (-source.zero, 255 - source.zero)
    form = Convolution(
        source, target, window, groups, rescaled, joins, by, residual, *bounds
    )  # fmt: skip
    other = Image(source.batch, *out, outer, residual.pixel_stride, residual.zero)
    return ConvolutionCase(
        form,
        weight,
        bias,
        multiplier,
        offset,
        draw_bytes(random, source),
        draw_bytes(random, other) if joins else None,
    )


def draw_any(random: Generator) -> ConvolutionCase:
    """A layer of any small form."""
    height, width = (int(x) for x in random.integers(1, 14, 2))
    groups = int(random.choice([1, 1, 1, 2, 3]))
    inner = int(random.choice([1, 3, 4, 5, 8, 16, 20]))
    outer = int(random.choice([1, 4, 7, 16, 33, 64, 80])) * groups
    source = draw_image(random, (int(random.choice([1, 1, 2, 3])), height, width, inner * groups))
    rescaled = random.random() < 0.8
    window = draw_window(random, height, width)
    joins = rescaled and random.random() < 0.4
    return draw_convolution(random, source, window, outer, groups, rescaled, joins)


@dataclass(frozen=True)
class PoolCase:
    form: Pool
    multiplier: NDArray[np.int32]
    offset: NDArray[np.int32]
    source: NDArray[np.uint8]


def draw_pool(random: Generator) -> PoolCase:
    """A maximum, a sum or an average, whose windows all see the image."""
    height, width = (int(x) for x in random.integers(3, 14, 2))
    channels = int(random.choice([1, 3, 16, 48, 64, 80, 130]))
    source = draw_image(random, (int(random.choice([1, 2])), height, width, channels))
    rows, columns = (int(x) for x in random.integers(1, 4, 2))
    if random.random() < 0.2:
        rows, columns = height, width
    pads = [int(x) for x in random.integers(0, (rows, columns, rows, columns))]
    strides = [int(x) for x in random.choice([1, 2, 3], 2)]
    window = Window(rows, columns, *strides, *pads, 1, 1)
    largest = random.random() < 0.4
    rescaled = not largest and random.random() < 0.6
    target = draw_image(random, (source.batch, *size_of(window, height, width), channels))
    if largest:
        target.zero = source.zero
    by, multiplier, offset = rescale_for(random, rows * columns * 255, channels, target.zero)
    form = Pool(source, target, window, largest, rescaled, by)
    return PoolCase(form, multiplier, offset, draw_bytes(random, source))
