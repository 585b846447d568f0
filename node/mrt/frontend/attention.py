"""Softmax and layer normalisation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from node.mrt.frontend.node import Node
from node.mrt.frontend.reader import Reader, converts
from node.mrt.layers import Layer, Normalise, Softmax


@converts("Softmax")
def read_softmax(reader: Reader, node: Node) -> Iterable[Layer]:
    shape = reader.input_shape(node)
    default = -1 if reader.opset >= 13 else 1  # older opsets also take all behind the axis as one
    axis = int(node.get("axis", default)) % len(shape)
    node.require(axis == len(shape) - 1, "is supported along the last axis only")
    yield Softmax(*reader.base(node))


@converts("LayerNormalization")
def read_layer_norm(reader: Reader, node: Node) -> Iterable[Layer]:
    shape = reader.input_shape(node)
    axis = int(node.get("axis", -1)) % len(shape)
    node.require(axis == len(shape) - 1, "is supported over the last axis only")
    gamma = np.broadcast_to(reader.constant(node, 1).reshape(-1), shape[-1:])
    beta = np.zeros(shape[-1], np.float32)
    if node.has_input(2):
        beta = np.broadcast_to(reader.constant(node, 2).reshape(-1), shape[-1:]).copy()
    epsilon = float(node.get("epsilon", 1e-5))
    yield Normalise(*reader.base(node), gamma.copy(), beta, epsilon)
