"""Zeros around an image become the padding of the window that reads it."""

from __future__ import annotations

from dataclasses import replace

from node.mrt.layers import AveragePool, Convolution, Layer, Pad, Window
from node.mrt.network import Network
from node.mrt.passes.identity_removal import remove_unread


def fold_padding(network: Network) -> Network:
    folded: list[Layer] = []
    for layer in network.layers:
        pad = network.makers.get(layer.inputs[0]) if layer.inputs else None
        if isinstance(pad, Pad) and isinstance(layer, Convolution | AveragePool):
            layer = _fold(layer, pad)
        folded.append(layer)
    return remove_unread(network.with_layers(folded))


def _fold(layer: Convolution | AveragePool, pad: Pad) -> Layer:
    if any((*pad.before[:2], *pad.after[:2])):
        return layer
    window = _widen(layer.window, pad)
    if isinstance(layer, AveragePool) and not _may_have(layer, window):
        return layer
    return replace(layer, inputs=pad.inputs, window=window)


def _may_have(layer: AveragePool, window: Window) -> bool:
    """Whether a pool counts zeros as padding; none of its windows may lie in it."""
    most = map(max, window.before, window.after)
    inside = all(length < size for length, size in zip(most, window.size, strict=True))
    return layer.counts_padding and not window.ceil and inside


def _widen(window: Window, pad: Pad) -> Window:
    before = tuple(a + b for a, b in zip(window.before, pad.before[2:], strict=True))
    after = tuple(a + b for a, b in zip(window.after, pad.after[2:], strict=True))
    return replace(window, before=before, after=after)
