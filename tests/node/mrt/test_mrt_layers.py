"""Each supported layer against onnxruntime, and clear refusals."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from node.mrt.conversion import Form, Settings, convert
from node.mrt.errors import CalibrationFailed, MalformedOnnx, UnsupportedOperator
from node.mrt.forms.cvm_arithmetic import Scaling
from node.mrt.frontend.onnx_model import parse_onnx, prepare
from node.mrt.frontend.reader import read_network
from node.mrt.passes.pipeline import simplify
from tests.support.onnx_networks import write_onnx

GENERATOR = np.random.default_rng(5)
SHAPE = (3, 6, 6)


def floats(*shape):
    return GENERATOR.normal(0, 0.5, shape).astype(np.float32)


def network(nodes, constants=None, shape=SHAPE):
    return write_onnx(nodes, constants or {}, shape)


WEIGHTS = {
    "w": floats(4, 3, 3, 3), "b": floats(4), "v": floats(4, 3, 1, 1), "d": floats(3, 1, 3, 3),
    "f": floats(108, 5), "c": floats(5), "low": np.float32(0), "high": np.float32(0.4),
    "gamma": floats(4), "beta": floats(4), "mean": floats(4), "var": np.abs(floats(4)) + 0.1,
    "shape": np.array([0, -1], np.int64), "g": np.abs(floats(3)), "n": -np.abs(floats(3)),
    "q": floats(3, 6, 6), "pads": np.array([0, 0, 1, 1] * 2, np.int64),
    "scales": np.array([1, 1, 2, 2], np.float32),
}  # fmt: skip
CONV = ("Conv", ["x", "w", "b"], "t", {"pads": [1, 1, 1, 1]})
NETWORKS = {
    "convolution": [("Conv", ["x", "w", "b"], "y", {"strides": [2, 1], "dilations": [1, 2]})],
    "depthwise": [("Conv", ["x", "d"], "y", {"group": 3, "pads": [1, 1, 1, 1]})],
    "relu": [CONV, ("Relu", ["t"], "y", {})],
    "clip": [CONV, ("Clip", ["t", "low", "high"], "y", {})],
    "normalisation": [
        CONV, ("BatchNormalization", ["t", "gamma", "beta", "mean", "var"], "y", {})
    ],
    "max pool": [
        CONV, ("MaxPool", ["t"], "y", {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1})
    ],
    "average pool": [("AveragePool", ["x"], "y", {"kernel_shape": [2, 3], "strides": [2, 1]})],
    "global average": [CONV, ("GlobalAveragePool", ["t"], "y", {})],
    "mean": [CONV, ("ReduceMean", ["t"], "y", {"axes": [2, 3], "keepdims": 0})],
    "add": [CONV, ("Conv", ["x", "v"], "u", {}), ("Add", ["t", "u"], "y", {})],
    "concatenate": [CONV, ("Conv", ["x", "v"], "u", {}), ("Concat", ["t", "u"], "y", {"axis": 1})],
    "gemm": [("Flatten", ["x"], "t", {}), ("Gemm", ["t", "f", "c"], "y", {})],
    "product and sum": [
        ("Reshape", ["x", "shape"], "t", {}),
        ("MatMul", ["t", "f"], "u", {}),
        ("Add", ["c", "u"], "y", {}),
    ],
    "nothing": [
        ("Identity", ["x"], "i", {}), ("Dropout", ["i"], "s", {}), ("Relu", ["s"], "y", {})
    ],
}  # fmt: skip


FORMS = {
    "shift": Settings(),
    "multiplier": Settings(scaling=Scaling.MULTIPLIER),
    "extension": Settings(form=Form.EXTENSION),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_are_near_the_float_model(name, form):
    samples = floats(96, *SHAPE)
    found = convert(network(NETWORKS[name], WEIGHTS), samples, settings=FORMS[form])
    assert found.report.sqnr_db is not None
    assert found.report.sqnr_db > 30, found.report.layers
    assert found.report.accuracy_before is None


def test_networks_of_other_floats():
    half = {name: WEIGHTS[name].astype(np.float16) for name in ("w", "b")}
    content = write_onnx(NETWORKS["relu"], half, SHAPE, kind=TensorProto.FLOAT16)
    assert convert(content, floats(32, *SHAPE)).report.sqnr_db > 30
    double = {name: WEIGHTS[name].astype(np.float64) for name in ("w", "b")}
    content = write_onnx(NETWORKS["relu"], double, SHAPE, kind=TensorProto.DOUBLE)
    with pytest.raises(CalibrationFailed, match=r"onnxruntime cannot run the model: .*Conv"):
        convert(content, floats(32, *SHAPE))


def test_normalisation_leaves_no_layer():
    found = simplify(read_network(prepare(parse_onnx(network(NETWORKS["normalisation"], WEIGHTS)))))
    assert [layer.kind for layer in found.layers] == ["convolution"]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([("Asin", ["x"], "y", {})], "'node_y': Asin is not supported; there are Abs"),
        ([("Conv", ["x", "x"], "y", {})], "'node_y': Conv needs a constant as input 1"),
        ([("BatchNormalization", ["x", "g", "g", "g", "n"], "y", {})], "negative variance"),
        ([("Relu", ["x"], "t", {}), ("Div", ["x", "t"], "y", {})], "of two computed values"),
        ([("MatMul", ["q", "x"], "y", {})], "on the left"),
        ([("MaxPool", ["x"], "y", {"kernel_shape": [2, 2], "dilations": [2, 2]})], "dilation"),
        ([("Conv", ["x", "d"], "y", {"group": 3, "pads": [0, 0, 0, 4097]})], "with 4097"),
        ([("Pad", ["x", "pads"], "y", {"mode": "reflect"})], "repeats"),
        ([("Softmax", ["x"], "y", {"axis": 1})], "along the last axis"),
        ([("Resize", ["x", "", "scales"], "y", {"mode": "cubic"})], "cubic"),
        ([("Cast", ["x"], "y", {"to": TensorProto.INT32})], "Cast of real to whole numbers"),
    ],
)
def test_refusals_name_operator_and_node(nodes, reason):
    with pytest.raises(UnsupportedOperator, match=reason):
        read_network(prepare(parse_onnx(network(nodes, WEIGHTS))))


def test_what_only_the_extension_form_has():
    content = network([("Softmax", ["x"], "y", {})])
    with pytest.raises(UnsupportedOperator, match="'node_y': softmax exists in the extension form"):
        convert(content, floats(4, *SHAPE))


def test_a_softmax_of_an_old_opset_takes_all_behind_its_axis_as_one():
    """Without an axis it is 1 there, and the last since opset 13."""
    content = write_onnx([("Softmax", ["x"], "y", {})], {}, SHAPE, opset=11)
    with pytest.raises(UnsupportedOperator, match="last axis only"):
        convert(content, floats(4, *SHAPE), settings=Settings(form=Form.EXTENSION))


def test_a_resize_of_an_old_opset_is_asymmetric():
    nodes = [("Resize", ["x", "by"], "y", {"mode": "linear"})]
    content = write_onnx(nodes, {"by": np.array([1, 1, 2, 2], np.float32)}, SHAPE, opset=10)
    with pytest.raises(UnsupportedOperator, match="linear with asymmetric"):
        convert(content, floats(4, *SHAPE), settings=Settings(form=Form.EXTENSION))


def test_an_average_that_counts_its_padding_may_not_stand_out():
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}
    content = write_onnx([("AveragePool", ["x"], "y", pool)], {}, SHAPE, opset=19)
    with pytest.raises(UnsupportedOperator, match="ceil_mode and count_include_pad"):
        convert(content, floats(4, *SHAPE), settings=Settings(form=Form.EXTENSION))


def test_a_layer_of_another_shape_than_the_model_says():
    """onnx and onnxruntime round up for 1 alone."""
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 8}
    content = write_onnx([("AveragePool", ["x"], "y", pool)], {}, SHAPE)
    with pytest.raises(UnsupportedOperator, match=r"'node_y': average pool comes out as"):
        convert(content, floats(4, *SHAPE), settings=Settings(form=Form.EXTENSION))


def test_what_is_no_onnx():
    content = network(NETWORKS["relu"], WEIGHTS)
    for damaged in (b"", b"onnx", content[: len(content) // 2]):
        with pytest.raises(MalformedOnnx):
            parse_onnx(damaged)


def test_weights_in_another_file(tmp_path, monkeypatch):
    content = network([("Conv", ["x", "z"], "y", {})], {"z": np.ones((1, 3, 1, 1), np.float32)})
    model = onnx.load_from_string(content)
    (weight,) = model.graph.initializer
    (tmp_path / "weights").write_bytes(weight.raw_data)
    onnx.external_data_helper.set_external_data(weight, "weights")
    weight.ClearField("raw_data")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MalformedOnnx, match="another file"):
        parse_onnx(model.SerializeToString())
    constant = onnx.helper.make_node("Constant", [], [weight.name], value=weight)
    model.graph.node.insert(0, constant)
    del model.graph.initializer[:]
    with pytest.raises(MalformedOnnx, match="another file"):
        parse_onnx(model.SerializeToString())


def test_samples_that_do_not_fit():
    content = network(NETWORKS["relu"], WEIGHTS)
    with pytest.raises(CalibrationFailed, match="the model takes"):
        convert(content, floats(4, 3, 5, 5))
    with pytest.raises(CalibrationFailed, match="input's scale"):
        convert(content, np.zeros((4, *SHAPE), np.float32))
    with pytest.raises(CalibrationFailed, match="labels"):
        convert(content, floats(4, *SHAPE), labels=np.zeros(3, np.int64))
    with pytest.raises(CalibrationFailed, match="labels"):
        convert(content, floats(4, *SHAPE), labels=np.zeros((4, 1), np.int64))


def test_a_layer_that_is_always_zero():
    nodes = [("Conv", ["x", "z"], "y", {})]
    content = network(nodes, {"z": np.zeros((1, 3, 1, 1), np.float32)})
    with pytest.raises(CalibrationFailed, match="on all samples"):
        convert(content, floats(4, *SHAPE))


def test_open_input_shape():
    model = onnx.load_from_string(network(NETWORKS["relu"], WEIGHTS))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
    with pytest.raises(MalformedOnnx, match="known sizes"):
        prepare(model)


def test_samples_that_are_not_finite():
    samples = floats(4, *SHAPE)
    samples[2, 1, 3, 0] = np.nan
    with pytest.raises(CalibrationFailed, match=r"sample 2 is not finite at \[1, 3, 0\]"):
        convert(network(NETWORKS["relu"], WEIGHTS), samples)


def test_a_batch_that_is_fixed():
    model = onnx.load_from_string(network(NETWORKS["relu"], WEIGHTS))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    assert read_network(prepare(model)).input_shape == (2, *SHAPE)
    with pytest.raises(MalformedOnnx, match="batches of 2, not 3"):
        prepare(model, 3)


@pytest.mark.parametrize("opset", [6, 99])
def test_opsets_beyond_what_the_reader_knows(opset):
    model = onnx.load_from_string(network(NETWORKS["relu"], WEIGHTS))
    model.opset_import[0].version = opset
    with pytest.raises(MalformedOnnx, match=r"opset|ONNX"):
        parse_onnx(model.SerializeToString())
