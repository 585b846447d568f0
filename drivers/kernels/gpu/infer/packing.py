"""Weights and windows in the order in which the kernels read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import NotSupported
from drivers.kernels.gpu.infer.layout import MOST_BYTES, MOST_ROWS, NOWHERE, TAP
from drivers.kernels.gpu.infer.memory import CHUNK, NARROW, padded
from drivers.kernels.infer.layers import Window

Weights = NDArray[np.int8]
ROWS = 32


@dataclass(frozen=True)
class Bundles:
    """Groups of channels multiplied as one product, with zeros where they do not meet."""

    count: int
    groups: int
    """In each bundle."""
    channels_in: int
    channels_out: int


def bundle(groups: int, channels_in: int, channels_out: int, is_narrow: bool) -> Bundles:
    """The smallest bundles that whole chunks of the source make up; ``channels_in`` and
    ``channels_out`` are a group's."""
    sizes = [size for size in range(1, groups + 1) if groups % size == 0]
    fitting = [
        size
        for size in sizes
        if not is_narrow and size * channels_in % CHUNK == 0 and size * channels_in >= 2 * CHUNK
    ]
    size = fitting[0] if fitting else groups
    return Bundles(groups // size, size, size * channels_in, size * channels_out)


def spread(weight: Weights, bundles: Bundles, padded_in: int) -> Weights:
    """(bundle, out, rows, columns, padded channels in), from (out, in a group, rows, columns)."""
    each_out = bundles.channels_out // bundles.groups
    each_in, rows, columns = weight.shape[1:]
    spread = np.zeros((bundles.count, bundles.channels_out, rows, columns, padded_in), np.int8)
    source = weight.reshape(bundles.count, bundles.groups, each_out, each_in, rows, columns)
    for group in range(bundles.groups):
        out = slice(group * each_out, (group + 1) * each_out)
        taken = slice(group * each_in, (group + 1) * each_in)
        spread[:, out, :, :, taken] = source[:, group].transpose(0, 1, 3, 4, 2)
    return spread


def pack_rows(weight: Weights, order: list[int] | None) -> Weights:
    """(bundle, rows in 32s, bytes in 32s). ``order``: which of 32 channels each row is."""
    count, out = weight.shape[:2]
    flat = weight.reshape(count, out, -1)
    packed = np.zeros((count, padded(out, ROWS), padded(flat.shape[2], ROWS)), np.int8)
    packed[:, :out, : flat.shape[2]] = flat
    if order is not None:
        numbers = np.arange(packed.shape[1]).reshape(-1, ROWS)[:, order].ravel()
        packed = packed[:, numbers]
    return np.ascontiguousarray(packed)


def pack_depthwise(weight: Weights) -> Weights:
    """(rows, columns, channels in eights), from (channels, 1, rows, columns)."""
    channels, _, rows, columns = weight.shape
    packed = np.zeros((rows, columns, padded(channels, 8)), np.int8)
    packed[:, :, :channels] = weight[:, 0].transpose(1, 2, 0)
    return packed


def list_taps(
    window: Window, width: int, stride: int, padded_in: int, unit: int, count: int
) -> NDArray[np.void]:
    """Where each of ``count`` units of a window lies in the source. Raises `NotSupported`."""
    spans = [(k - 1) * d for k, d in zip(window.size, window.dilation, strict=True)]
    if max(spans) > MOST_ROWS:
        raise NotSupported(f"a window spans {max(spans)} pixels, more than {MOST_ROWS}")
    if (reach := (spans[0] * width + spans[1] + 1) * stride) > MOST_BYTES:
        raise NotSupported(f"a window spans {reach} bytes of an image, more than {MOST_BYTES}")
    per_tap = padded_in // unit
    taps = np.zeros(count, TAP)
    taps["dy"] = taps["dx"] = NOWHERE
    number = np.arange(per_tap * window.size[0] * window.size[1])
    place, part = np.divmod(number, per_tap)
    row, column = np.divmod(place, window.size[1])
    dy, dx = row * window.dilation[0], column * window.dilation[1]
    taps["dy"][: len(number)], taps["dx"][: len(number)] = dy, dx
    taps["offset"][: len(number)] = (dy * width + dx) * stride + part * unit
    return taps


def fill_channels(values: NDArray[np.int32], bundles: Bundles, rows: int) -> NDArray[np.int32]:
    """A value a channel, or one for all, as (bundle, rows)."""
    out = bundles.count * bundles.channels_out
    filled = np.zeros((bundles.count, rows), np.int32)
    each = np.broadcast_to(values, out).reshape(bundles.count, bundles.channels_out)
    filled[:, : bundles.channels_out] = each
    return filled


def unit_of(is_narrow: bool) -> int:
    """Bytes of the source that are read together."""
    return NARROW if is_narrow else CHUNK
