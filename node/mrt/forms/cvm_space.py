"""Layers over space in the official form, which has 2-D convolutions and maxima alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from node.mrt.errors import UnsupportedOperator
from node.mrt.forms.builder import Value
from node.mrt.forms.cvm_arithmetic import CvmArithmetic
from node.mrt.layers import (
    AveragePool,
    Convolution,
    Doubles,
    Layer,
    MaxPool,
    Pad,
    Shape,
    Upsample,
    Window,
)
from node.spec.cvm.writer import Entry


def write_convolution(builder: CvmArithmetic, layer: Convolution) -> Value:
    count = len(layer.window.size)
    if count == 3:
        raise UnsupportedOperator(
            "Conv", layer.name, "in three dimensions exists in the extension form only"
        )
    source = _as_image(builder, f"{layer.name}_image", builder.source(layer))
    window = _as_image_window(layer.window)
    source, window = _pad_evenly(builder, layer.name, source, window)
    weight = layer.weight if count == 2 else layer.weight[:, :, None]
    flat = replace(layer, weight=weight)
    details = describe_window(window) | {"channels": len(weight), "groups": layer.groups}
    found = builder.weigh(flat, source, "conv2d", details)
    return builder.reshape(f"{layer.name}_shaped", found, layer.shape)


def describe_window(window: Window) -> dict[str, object]:
    return {
        "kernel_size": window.size,
        "strides": window.strides,
        "padding": window.before,
        "dilation": window.dilation,
    }


def _as_image(builder: CvmArithmetic, name: str, value: Value) -> Value:
    """A line as an image of one row."""
    shape = value.entry.shape
    return builder.reshape(name, value, (*shape[:2], *(1,) * (4 - len(shape)), *shape[2:]))


def _as_image_window(window: Window) -> Window:
    if len(window.size) == 2:
        return window
    (size,), (stride,), (dilation,) = window.size, window.strides, window.dilation
    return Window(
        (1, size), (1, stride), (0, *window.before), (0, *window.after), (1, dilation), window.ceil
    )


def _pad_evenly(
    builder: CvmArithmetic, name: str, value: Value, window: Window
) -> tuple[Value, Window]:
    """Padding that differs in front and behind becomes zeros in the image."""
    if window.before == window.after:
        return value, window
    none = (0,) * len(window.size)
    padded = pad(builder, name, value, (0, 0, *window.before), (0, 0, *window.after))
    return padded, replace(window, before=none, after=none)


def pad(builder: CvmArithmetic, name: str, value: Value, before: Shape, after: Shape) -> Value:
    """Zeros around a value, by concatenation."""
    entry = value.entry
    for axis, lengths in enumerate(zip(before, after, strict=True)):
        parts: list[Entry] = [entry]
        for place, length in enumerate(lengths):
            if length:
                shape = (*entry.shape[:axis], length, *entry.shape[axis + 1 :])
                zeros = builder.parameter(
                    f"{name}_zeros_{axis}_{place}", np.zeros(shape, np.int32), 2
                )
                parts.insert(0 if place == 0 else len(parts), zeros)
        if len(parts) > 1:
            entry = builder.writer.add("concatenate", f"{name}_padded_{axis}", parts, axis=axis)
    return replace(value, entry=entry, low=min(value.low, 0), high=max(value.high, 0))


def write_pad(builder: CvmArithmetic, layer: Pad) -> Value:
    return pad(builder, layer.name, builder.source(layer), layer.before, layer.after)


def write_max_pool(builder: CvmArithmetic, layer: MaxPool) -> Value:
    if len(layer.window.size) == 3 or layer.window.before != layer.window.after:
        raise UnsupportedOperator(
            "MaxPool", layer.name, "so padded or in 3 dimensions exists in the extension form only"
        )
    window = _as_image_window(layer.window)
    source = _as_image(builder, f"{layer.name}_image", builder.source(layer))
    pooled = builder.writer.add(
        "max_pool2d", layer.name, [source.entry],
        pool_size=window.size, strides=window.strides, padding=window.before,
        ceil_mode=window.ceil,
    )  # fmt: skip
    return builder.reshape(f"{layer.name}_shaped", replace(source, entry=pooled), layer.shape)


def write_average_pool(builder: CvmArithmetic, layer: AveragePool) -> Value:
    """As a convolution of each channel with ones, times one over what each window counts."""
    if len(layer.window.size) == 3 or layer.window.ceil:
        raise UnsupportedOperator(
            "AveragePool", layer.name, "with ceil_mode or in 3 dimensions: extension form only"
        )
    target = builder.target(layer)
    source = _as_image(builder, f"{layer.name}_image", builder.source(layer))
    window = _as_image_window(layer.window)
    counts = _count_terms(source.entry.shape, window, layer.counts_padding)
    source, window = _pad_evenly(builder, layer.name, source, window)
    channels, area = source.entry.shape[1], prod(window.size)
    ones = builder.parameter(f"{layer.name}_ones", np.ones((channels, 1, *window.size)), 2)
    sums = builder.writer.add(
        "conv2d", layer.name, [source.entry, ones], use_bias=False,
        channels=channels, groups=channels, **describe_window(window),
    )  # fmt: skip
    total = Value(sums, source.scale, source.low * area, source.high * area)
    ratio = source.scale / target.scale / counts
    found = builder.rescale_by(layer.name, total, ratio, target)
    return builder.reshape(f"{layer.name}_shaped", found, layer.shape)


def _count_terms(shape: Shape, window: Window, counts_padding: bool) -> Doubles:
    """By how much each position's sum is divided; broadcasts against (n, c, rows, columns)."""
    if counts_padding:
        return np.full((1, 1, 1, 1), float(prod(window.size)))
    lines = []
    for size, kernel, stride, before, after in zip(
        shape[2:], window.size, window.strides, window.before, window.after, strict=True
    ):
        inside = np.zeros(before + size + after)
        inside[before : before + size] = 1
        views = np.lib.stride_tricks.sliding_window_view(inside, kernel)[::stride]
        lines.append(views.sum(axis=1))
    counts: Doubles = np.multiply.outer(lines[0], lines[1])[None, None]
    return counts


def write_upsample(builder: CvmArithmetic, layer: Upsample) -> Value:
    if layer.linear:
        raise UnsupportedOperator(
            "Resize", layer.name, "by linear exists in the extension form only"
        )
    value = builder.source(layer)
    entry = value.entry
    for axis, factor in enumerate(layer.factors, 2):
        if factor > 1:
            name = f"{layer.name}_{axis}"
            entry = builder.writer.add("repeat", name, [entry], repeats=factor, axis=axis)
    return replace(value, entry=entry)


CVM_SPACE: Mapping[type[Layer], Callable[[Any, Any], Value]] = {
    AveragePool: write_average_pool,
    Convolution: write_convolution,
    MaxPool: write_max_pool,
    Pad: write_pad,
    Upsample: write_upsample,
}
