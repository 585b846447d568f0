"""Operators of integer programs written straight from their definitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.int64]


def conv2d(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    *,
    padding: tuple[int, int] = (0, 0),
    strides: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    outputs, per_group, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    oh = (x.shape[2] - dilation[0] * (kh - 1) - 1) // strides[0] + 1
    ow = (x.shape[3] - dilation[1] * (kw - 1) - 1) // strides[1] + 1
    y = np.zeros((x.shape[0], outputs, oh, ow), dtype=np.int64)
    for n, o, r, c in np.ndindex(y.shape):
        first = o // (outputs // groups) * per_group
        rows = slice(r * strides[0], r * strides[0] + dilation[0] * (kh - 1) + 1, dilation[0])
        columns = slice(c * strides[1], c * strides[1] + dilation[1] * (kw - 1) + 1, dilation[1])
        y[n, o, r, c] = (x[n, first : first + per_group, rows, columns] * w[o]).sum()
    return y if b is None else y + b[None, :, None, None]


def right_shift(x: Tensor, precision: int, bits: int) -> Tensor:
    bound = 2 ** (precision - 1) - 1
    return np.clip(np.floor_divide(x + 2 ** (bits - 1), 2**bits), -bound, bound)


def max_pool2d(x: Tensor, pool: tuple[int, int], strides: tuple[int, int]) -> Tensor:
    n, c, h, w = x.shape
    oh, ow = (h - pool[0]) // strides[0] + 1, (w - pool[1]) // strides[1] + 1
    y = np.empty((n, c, oh, ow), dtype=np.int64)
    for i, j, r, q in np.ndindex(y.shape):
        top, left = r * strides[0], q * strides[1]
        y[i, j, r, q] = x[i, j, top : top + pool[0], left : left + pool[1]].max()
    return y
