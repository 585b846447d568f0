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
        if isinstance(pad, Pad) and _pads_space_alone(pad):
            layer = _fold(layer, pad)
        folded.append(layer)
    return remove_unread(network.with_layers(folded))


def _pads_space_alone(pad: Pad) -> bool:
    return not any((*pad.before[:2], *pad.after[:2]))


def _fold(layer: Layer, pad: Pad) -> Layer:
    counted = isinstance(layer, AveragePool) and layer.counts_padding and not layer.window.ceil
    if not counted and not isinstance(layer, Convolution):
        return layer
    assert isinstance(layer, Convolution | AveragePool)
    return replace(layer, inputs=pad.inputs, window=_widen(layer.window, pad))


def _widen(window: Window, pad: Pad) -> Window:
    before = tuple(a + b for a, b in zip(window.before, pad.before[2:], strict=True))
    after = tuple(a + b for a, b in zip(window.after, pad.after[2:], strict=True))
    return replace(window, before=before, after=after)
