"""Cross-layer equalisation: channels between two weighted layers brought to like ranges.

A channel between them may be divided by any s > 0 if the second layer's weights for it are
multiplied by s. With s = √(range of the channel / largest weight that reads it), channels that are
small beside others keep their bits. The first layer's weights have a scale for each channel, so
its activations' range stands in the place of its weights' (A. Nagel et al., arXiv 1906.04721).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from node.mrt.forms.builder import Calibration
from node.mrt.layers import Convolution, Dense, Floats, Rectify, Weighted
from node.mrt.network import Network
from node.mrt.passes.affine_folding import scale_inputs

#: A channel is made no more than so many times larger or smaller than the others.
_MOST = 16.0


def equalise(network: Network, calibration: Calibration) -> Network:
    """Every pair of weighted layers with nothing but a ReLU between them, in order."""
    for layer in network.layers:
        first = network.makers[layer.name]
        if isinstance(first, Convolution | Dense):
            network = _equalise_behind(network, first, calibration)
    return network


def _equalise_behind(
    network: Network, first: Convolution | Dense, calibration: Calibration
) -> Network:
    reader, between = network.sole_reader(first.name), [first.name]
    if isinstance(reader, Rectify):
        between.append(reader.name)
        reader = network.sole_reader(reader.name)
    if not isinstance(reader, Convolution | Dense) or type(reader) is not type(first):
        return network
    factor = _choose(calibration.channel_limits[reader.inputs[0]], _largest_weights(reader))
    return _apply(network, first, reader, between, factor)


def _largest_weights(layer: Convolution | Dense) -> Floats:
    """By input channel."""
    if isinstance(layer, Dense):
        return _largest(layer.weight, 0)
    inputs = layer.weight.shape[1]
    by_pair = np.abs(layer.weight).reshape(*layer.weight.shape[:2], -1).max(axis=2)
    return _largest(by_pair.reshape(layer.groups, -1, inputs), 1).reshape(-1)


def _largest(weight: Floats, axis: int) -> Floats:
    found: Floats = np.abs(weight).max(axis=axis)
    return found


def _choose(limits: Floats, weights: Floats) -> Floats:
    """The factor of each channel: 1 where nothing comes or nothing reads."""
    alive = (limits > 0) & (weights > 0)
    if not alive.any():
        return np.ones(len(limits), np.float32)
    root = np.sqrt(weights[alive] / limits[alive])
    factor = np.ones(len(limits), np.float32)
    factor[alive] = np.clip(root / np.exp(np.log(root).mean()), 1 / _MOST, _MOST)
    return factor


def _apply(
    network: Network,
    first: Weighted,
    second: Convolution | Dense,
    between: list[str],
    factor: Floats,
) -> Network:
    bias = None if first.bias is None else first.bias * factor
    made: dict[str, Weighted] = {
        first.name: replace(first, weight=first.weight * first.spread(factor), bias=bias),
        second.name: replace(second, weight=scale_inputs(second, np.float32(1) / factor)),
    }
    layers = tuple(made.get(layer.name, layer) for layer in network.layers)
    shape = [1] * len(first.shape)
    shape[first.channel_axis] = len(factor)
    column = factor.reshape(shape)
    factors = {name: network.factors.get(name, np.float32(1)) * column for name in between}
    return replace(network, layers=layers, factors=network.factors | factors)
