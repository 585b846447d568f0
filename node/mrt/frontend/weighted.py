"""Conv, ConvTranspose, Gemm, MatMul, BatchNormalization and sums with constants."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from node.mrt.frontend.node import Node
from node.mrt.frontend.reader import Reader, converts
from node.mrt.frontend.windows import read_window
from node.mrt.layers import (
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    Floats,
    Layer,
    MatrixProduct,
)


@converts("Conv")
def read_convolution(reader: Reader, node: Node) -> Iterable[Layer]:
    weight = reader.constant(node, 1)
    window = read_window(reader, node, weight.shape[2:])
    groups = int(node.get("group", 1))
    yield Convolution(*reader.base(node), weight, _bias(reader, node), window, groups)


@converts("ConvTranspose")
def read_deconvolution(reader: Reader, node: Node) -> Iterable[Layer]:
    weight = reader.constant(node, 1)
    size = weight.shape[2:]
    node.require("output_shape" not in node.attributes, "with output_shape is not supported")
    window = read_window(reader, node, size)
    extra = tuple(int(each) for each in node.get("output_padding", [0] * len(size)))
    groups = int(node.get("group", 1))
    yield Deconvolution(*reader.base(node), weight, _bias(reader, node), window, groups, extra)


def _bias(reader: Reader, node: Node) -> Floats | None:
    return reader.constant(node, 2) if node.has_input(2) else None


@converts("Gemm")
def read_gemm(reader: Reader, node: Node) -> Iterable[Layer]:
    node.require(not node.get("transA", 0), "with transA is not supported")
    weight = reader.constant(node, 1)
    alpha, beta = float(node.get("alpha", 1.0)), float(node.get("beta", 1.0))
    weight = weight if node.get("transB", 0) else weight.T
    weight = weight if alpha == 1.0 else weight * np.float32(alpha)
    bias = None
    if node.has_input(2):
        raw = reader.constant(node, 2) * np.float32(beta)
        node.require(raw.size in (1, len(weight)), f"with a bias of {raw.shape} is not supported")
        bias = np.broadcast_to(raw.reshape(-1), (len(weight),)).copy()
    yield Dense(*reader.base(node), weight, bias)


@converts("MatMul")
def read_matrix_product(reader: Reader, node: Node) -> Iterable[Layer]:
    node.require(not reader.is_constant(node, 0), "with a constant on the left is not supported")
    if not reader.is_constant(node, 1):
        ranks = [len(reader.input_shape(node, index)) for index in (0, 1)]
        node.require(ranks[0] == ranks[1] > 2, f"of ranks {ranks} is not supported")
        yield MatrixProduct(*reader.base(node, *node.inputs))
        return
    weight = reader.constant(node, 1)
    node.require(weight.ndim == 2, "is supported with a two-dimensional constant only")
    yield Dense(*reader.base(node), weight.T, None)


@converts("BatchNormalization")
def read_normalisation(reader: Reader, node: Node) -> Iterable[Layer]:
    gamma, beta, mean, variance = (reader.constant(node, index) for index in range(1, 5))
    node.require(not node.get("training_mode", 0), "in training mode is not supported")
    node.require(bool((variance >= 0).all()), "has a negative variance")
    scale = gamma / np.sqrt(variance + np.float32(node.get("epsilon", 1e-5)))
    rank = len(reader.input_shape(node))
    column = (1, -1, *[1] * (rank - 2))
    offset = beta - mean * scale
    yield Affine(*reader.base(node), scale.reshape(column), offset.reshape(column))
