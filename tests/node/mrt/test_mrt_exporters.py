"""ONNX as the exporters of TensorFlow and MXNet write it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from node.mrt.conversion import Form, Settings, convert
from node.spec.cvm import load
from tests.support.onnx_networks import write_onnx

NUMBERS = np.random.default_rng(4)


def floats(*shape):
    return NUMBERS.normal(0, 0.5, shape).astype(np.float32)


def test_tensorflow():
    """Channels last outside, transposed around what wants them first; a mean and a softmax."""
    constants = {
        "w": floats(8, 3, 3, 3), "b": floats(8), "d": floats(8, 1, 3, 3), "low": np.float32(0),
        "high": np.float32(6), "axes": np.array([2, 3], np.int64), "k": floats(8, 5),
        "c": floats(5),
    }  # fmt: skip
    nodes = [
        ("Transpose", ["x"], "first", {"perm": [0, 3, 1, 2]}),
        ("Conv", ["first", "w", "b"], "conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ("Clip", ["conv", "low", "high"], "relu6", {}),
        ("Conv", ["relu6", "d"], "depthwise", {"group": 8, "pads": [1] * 4}),
        ("Relu", ["depthwise"], "relu", {}),
        ("GlobalAveragePool", ["relu"], "pool", {}),
        ("Squeeze", ["pool", "axes"], "flat", {}),
        ("MatMul", ["flat", "k"], "product", {}),
        ("Add", ["product", "c"], "scores", {}),
        ("Softmax", ["scores"], "y", {"axis": -1}),
    ]  # fmt: skip
    content = write_onnx(nodes, constants, (9, 9, 3), opset=13)
    found = convert(content, floats(64, 9, 9, 3), settings=Settings(form=Form.EXTENSION))
    assert found.report.sqnr_db > 30 and found.report.agreement > 0.9
    assert load(found.symbol, found.parameters, extended=True).input_shape == (1, 9, 9, 3)


@pytest.mark.parametrize("form", Form)
def test_mxnet(form):
    """An old opset, whose constants are inputs, too."""
    constants = {
        "w": floats(8, 3, 3, 3), "gamma": floats(8) + 1, "beta": floats(8), "mean": floats(8),
        "var": np.abs(floats(8)) + 0.1, "shape": np.array([0, -1], np.int64), "k": floats(5, 128),
        "c": floats(5),
    }  # fmt: skip
    nodes = [
        ("Conv", ["x", "w"], "conv",
         {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1], "dilations": [1, 1]}),
        ("BatchNormalization", ["conv", "gamma", "beta", "mean", "var"], "bn", {"epsilon": 1e-3}),
        ("LeakyRelu", ["bn"], "leaky", {"alpha": 0.1}),
        ("MaxPool", ["leaky"], "pool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Dropout", ["pool"], "drop", {"ratio": 0.5}),
        ("Reshape", ["drop", "shape"], "flat", {}),
        ("Gemm", ["flat", "k", "c"], "y", {"alpha": 1.0, "beta": 1.0, "transB": 1}),
    ]  # fmt: skip
    model = onnx.load_from_string(write_onnx(nodes, constants, (3, 8, 8), opset=9))
    for each in model.graph.initializer:
        declared = onnx.helper.make_tensor_value_info(each.name, each.data_type, each.dims)
        model.graph.input.append(declared)
    found = convert(model.SerializeToString(), floats(64, 3, 8, 8), settings=Settings(form=form))
    assert found.report.sqnr_db > 30 and found.report.agreement > 0.9
