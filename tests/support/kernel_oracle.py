"""What single layers must give: numpy int64, straight from drivers/kernels/infer/layers.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.cpu.layers import Convolution, Image, Pool, Rescale, Residual, Window

Array = NDArray[Any]


def values(image: Image, data: Array) -> Array:
    """(n, h, w, c) int64 of an image's bytes."""
    return data[..., : image.channels].astype(np.int64) - image.zero


def rescale(x: Array, by: Rescale, multiplier: Array, offset: Array) -> Array:
    before = np.clip((x + by.pre_half) >> by.pre_shift, by.pre_low, by.pre_high)
    full = before * multiplier.astype(np.int64) + offset
    assert np.abs(full).max(initial=0) < 2**31, "the case breaks the bounds of its layer"
    return np.clip(full >> by.shift, by.low, by.high)


def join(x: Array, other: Array, by: Residual) -> Array:
    return np.clip((x * by.own + other * by.theirs + by.half) >> by.shift, by.low, by.high)


def windows(image: Image, x: Array, window: Window, out: tuple[int, int], empty: int) -> Array:
    """(rows, columns, n, h, w, c): what each tap of each window sees."""
    pads = ((0, 0), (window.top, window.bottom), (window.left, window.right), (0, 0))
    padded = np.pad(x, pads, constant_values=empty)
    taps = np.empty((window.rows, window.columns, image.batch, *out, image.channels), np.int64)
    for row in range(window.rows):
        for column in range(window.columns):
            top, left = row * window.row_dilation, column * window.column_dilation
            seen = padded[:, top :: window.row_stride, left :: window.column_stride]
            taps[row, column] = seen[:, : out[0], : out[1]]
    return taps


def convolve(
    form: Convolution,
    weight: Array,
    bias: Array,
    multiplier: Array,
    offset: Array,
    source: Array,
    other: Array | None,
) -> Array:
    """Bytes (n, h, w, c), or words (n, c, h, w) of a layer without a rescaling."""
    out = (form.target.height, form.target.width)
    taps = windows(form.source, values(form.source, source), form.window, out, 0)
    groups, outer = form.groups, form.target.channels // form.groups
    inner = form.source.channels // groups
    taps = taps.reshape(*taps.shape[:-1], groups, inner)
    kernel = weight.astype(np.int64).reshape(groups, outer, inner, *weight.shape[2:])
    x = np.einsum("rknhwgi,goirk->nhwgo", taps, kernel, optimize=True)
    x = x.reshape(*x.shape[:3], -1) + bias
    if not form.rescaled:
        return x.transpose(0, 3, 1, 2)
    x = rescale(x, form.rescale, multiplier, offset)
    if other is not None:
        theirs = other[..., : form.target.channels].astype(np.int64) - form.residual.zero
        x = join(x, theirs, form.residual)
    return x + form.target.zero


def pool(form: Pool, multiplier: Array, offset: Array, source: Array) -> Array:
    """As `convolve`."""
    out = (form.target.height, form.target.width)
    x = values(form.source, source)
    if form.largest:
        return windows(form.source, x, form.window, out, -1000).max((0, 1)) + form.target.zero
    x = windows(form.source, x, form.window, out, 0).sum((0, 1))
    if not form.rescaled:
        return x.transpose(0, 3, 1, 2)
    return rescale(x, form.rescale, multiplier, offset) + form.target.zero
