"""Batch normalisations, means and scales of inputs go into the weights beside them.

``scale · x + offset`` with numbers for each channel goes into the weighted layer that computes x,
if nothing else reads x; or into the one that alone reads the result, where zeros around the image
do not stand between.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from node.mrt.layers import (
    Affine,
    Convolution,
    Dense,
    Doubles,
    Floats,
    Layer,
    Weighted,
)
from node.mrt.network import Network


def fold_affine(network: Network) -> Network:
    """Fold until nothing folds."""
    while True:
        folded = _fold_one(network)
        if folded is None:
            return network
        network = folded


def _fold_one(network: Network) -> Network | None:
    for layer in network.layers:
        if isinstance(layer, Affine):
            found = _fold_back(network, layer) or _fold_forward(network, layer)
            if found is not None:
                return found
    return None


def _fold_back(network: Network, affine: Affine) -> Network | None:
    maker = network.makers.get(affine.inputs[0])
    if maker is None or network.sole_reader(maker.name) is not affine:
        return None
    if isinstance(maker, Affine):
        scale = affine.scale * maker.scale
        return _join(network, maker, replace(
            maker, name=affine.name, scale=scale,
            offset=affine.scale * maker.offset + affine.offset,
        ), affine)  # fmt: skip
    if not isinstance(maker, Weighted):
        return None
    columns = _columns(affine, maker.channel_axis)
    if columns is None:
        return None
    scale, offset = columns
    bias = np.zeros(maker.channels) if maker.bias is None else maker.bias
    made = replace(
        maker,
        name=affine.name,
        weight=maker.weight * maker.spread(scale.astype(np.float32)),
        bias=(bias * scale + offset).astype(np.float32),
    )
    return _join(network, maker, made, affine)


def _join(network: Network, maker: Layer, made: Layer, gone: Layer) -> Network:
    """The network with two layers become one, where the first stood."""
    layers = [made if each is maker else each for each in network.layers if each is not gone]
    return network.with_layers(layers)


def _columns(affine: Affine, axis: int) -> tuple[Doubles, Doubles] | None:
    """Scale and offset as one number for each channel, if they are no more than that."""
    count = affine.shape[axis]
    found = []
    for values in (affine.scale, affine.offset):
        if any(size != 1 for at, size in enumerate(values.shape) if at != axis):
            return None
        found.append(np.broadcast_to(values.reshape(-1), (count,)).astype(np.float64))
    return found[0], found[1]


def _fold_forward(network: Network, affine: Affine) -> Network | None:
    reader = network.sole_reader(affine.name)
    if not isinstance(reader, Convolution | Dense):
        return None
    axis = 1 if isinstance(reader, Convolution) else len(affine.shape) - 1
    columns = _columns(affine, axis)
    if columns is None:
        return None
    scale, offset = columns
    padded = isinstance(reader, Convolution) and reader.window.is_padded
    if padded and offset.any():
        return None
    made = replace(
        reader,
        inputs=affine.inputs,
        weight=scale_inputs(reader, scale.astype(np.float32)),
        bias=_shift_bias(reader, offset),
    )
    layers = [made if each is reader else each for each in network.layers if each is not affine]
    return network.with_layers(layers)


def scale_inputs(layer: Convolution | Dense, scale: Floats) -> Floats:
    if isinstance(layer, Dense):
        return layer.weight * scale
    outs, inputs, *size = layer.weight.shape
    groups = scale.reshape(layer.groups, 1, inputs)
    column = np.repeat(groups, outs // layer.groups, axis=1)
    return layer.weight * column.reshape(outs, inputs, *[1] * len(size))


def _shift_bias(layer: Convolution | Dense, offset: Doubles) -> Floats | None:
    """The bias with what a constant added to every input channel gives."""
    if not offset.any():
        return layer.bias
    bias = np.zeros(layer.channels) if layer.bias is None else layer.bias
    return (bias + sum_inputs(layer, offset)).astype(np.float32)


def sum_inputs(
    layer: Convolution | Dense, values: Doubles, weight: Floats | None = None
) -> Doubles:
    """What each output channel becomes where every input channel is constantly ``values``."""
    weight = layer.weight if weight is None else weight
    if isinstance(layer, Dense):
        return weight @ values
    taps = weight.reshape(*weight.shape[:2], -1).sum(axis=2, dtype=np.float64)
    groups = taps.reshape(layer.groups, -1, taps.shape[1])
    found: Doubles = np.einsum("goi,gi->go", groups, values.reshape(layer.groups, -1)).reshape(-1)
    return found
