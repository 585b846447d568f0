"""Layers over space in the extension form: convolutions, pools, padding, upsampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from node.mrt.forms.builder import Builder, Value
from node.mrt.layers import (
    AveragePool,
    Convolution,
    Deconvolution,
    Layer,
    MaxPool,
    Pad,
    Upsample,
    Window,
)


def describe_window(size: str, window: Window) -> dict[str, object]:
    """Attributes of a window in the extension form."""
    padding = window.before if window.before == window.after else (*window.before, *window.after)
    return {size: window.size, "strides": window.strides, "padding": padding}


def write_convolution(builder: Builder, layer: Convolution) -> Value:
    details = describe_window("kernel_size", layer.window)
    details |= {"channels": len(layer.weight), "groups": layer.groups}
    details["dilation"] = layer.window.dilation
    return builder.weigh(layer, builder.source(layer), f"conv{len(layer.window.size)}d", details)


def write_deconvolution(builder: Builder, layer: Deconvolution) -> Value:
    details = describe_window("kernel_size", layer.window)
    details |= {"channels": layer.channels, "groups": layer.groups}
    details |= {"dilation": layer.window.dilation, "output_padding": layer.extra}
    operator = f"conv_transpose{len(layer.window.size)}d"
    return builder.weigh(layer, builder.source(layer), operator, details)


def write_max_pool(builder: Builder, layer: MaxPool) -> Value:
    return _write_pool(builder, layer, layer.window, "max_pool", {})


def write_average_pool(builder: Builder, layer: AveragePool) -> Value:
    counts = {"count_include_pad": layer.counts_padding}
    return _write_pool(builder, layer, layer.window, "avg_pool", counts)


def _write_pool(
    builder: Builder,
    layer: Layer,
    window: Window,
    operator: str,
    details: Mapping[str, object],
) -> Value:
    source = builder.source(layer)
    pooled = builder.writer.add(
        f"{operator}{len(window.size)}d", layer.name, [source.entry],
        **describe_window("pool_size", window), ceil_mode=window.ceil, **details,
    )  # fmt: skip
    return Value(pooled, source.scale, source.low, source.high)


def write_pad(builder: Builder, layer: Pad) -> Value:
    value = builder.source(layer)
    width = (*layer.before, *layer.after)
    entry = builder.writer.add("pad", layer.name, [value.entry], pad_width=width)
    return replace(value, entry=entry, low=min(value.low, 0), high=max(value.high, 0))


def write_upsample(builder: Builder, layer: Upsample) -> Value:
    value = builder.source(layer)
    entry = builder.writer.add(
        "upsample", layer.name, [value.entry],
        scale=layer.factors, method="linear" if layer.linear else "nearest",
    )  # fmt: skip
    return replace(value, entry=entry)


SPACE: Mapping[type[Layer], Callable[[Any, Any], Value]] = {
    AveragePool: write_average_pool,
    Convolution: write_convolution,
    Deconvolution: write_deconvolution,
    MaxPool: write_max_pool,
    Pad: write_pad,
    Upsample: write_upsample,
}
