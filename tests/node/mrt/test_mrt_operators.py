"""Each ONNX operator that is read, in both forms, against onnxruntime; and to the bit as layers."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from node.mrt.conversion import Form, Settings, convert
from node.mrt.errors import CalibrationFailed, UnsupportedOperator
from node.spec.cvm import load
from tests.support.onnx_networks import write_onnx
from tests.support.plans import compare

GENERATOR = np.random.default_rng(11)
IMAGE, LINE, TOKENS, VOLUME = (4, 6, 6), (4, 9), (5, 8), (2, 4, 5, 4)


def floats(*shape):
    return GENERATOR.normal(0, 0.5, shape).astype(np.float32)


def integers(*numbers):
    return np.array(numbers, np.int64)


CONSTANTS = {
    "w": floats(4, 4, 3, 3), "v": floats(4, 4, 1, 1), "t": floats(4, 3, 2, 2),
    "t2": floats(4, 2, 3, 3), "w1": floats(4, 4, 3), "w3": floats(3, 2, 2, 2, 2),
    "scale": floats(4) + 1, "beta": floats(4), "mean": floats(4), "var": np.abs(floats(4)) + 0.1,
    "slope": np.abs(floats(4, 1, 1)), "half": np.float32(0.5), "one": np.float32(1),
    "root": np.float32(np.sqrt(2)), "two": np.float32(2), "three": np.float32(3),
    "zero": np.float32(0), "six": np.float32(6), "pads": integers(0, 0, 1, 0, 0, 0, 1, 2),
    "sizes": np.array([1, 1, 2, 2], np.float32), "starts": integers(1, 0), "ends": integers(5, -1),
    "axes": integers(2, 3), "steps": integers(2, 1), "parts": integers(1, 3), "first": integers(2),
    "place": np.array(1, np.int64), "position": floats(1, 5, 8), "d": floats(8, 8),
    "gamma": floats(8) + 1, "offset": floats(8), "table": floats(20, 8), "cls": floats(1, 1, 8),
    "heads": integers(0, 5, 2, 4), "rows": integers(1), "channel": floats(1, 4, 1, 1),
    "wide": integers(0, 0, 2, 2, 0, 0, 2, 2),
}  # fmt: skip
CONV = ("Conv", ["x", "w"], "c", {"pads": [1, 1, 1, 1]})
ERF = [
    ("Div", ["c", "root"], "e1", {}), ("Erf", ["e1"], "e2", {}), ("Add", ["e2", "one"], "e3", {}),
    ("Mul", ["c", "e3"], "e4", {}), ("Mul", ["e4", "half"], "y", {}),
]  # fmt: skip

#: name: (nodes, shape, opset)
BOTH = {
    "convolution 1D": ([("Conv", ["x", "w1"], "y", {"pads": [1, 2]})], LINE, 17),
    "padded unevenly": ([("Conv", ["x", "w"], "y", {"pads": [0, 1, 2, 0]})], IMAGE, 17),
    "padded as same": (
        [("Conv", ["x", "w"], "y", {"auto_pad": "SAME_UPPER", "strides": [2, 2]})], IMAGE, 17,
    ),
    "average without padding": (
        [("AveragePool", ["x"], "y", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})], IMAGE, 17,
    ),
    "average with padding": (
        [("AveragePool", ["x"], "y",
          {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1})], IMAGE, 17,
    ),
    "average of much padding": (
        [("Pad", ["x", "wide"], "p", {}), ("AveragePool", ["p"], "y", {"kernel_shape": [2, 2]})],
        IMAGE, 17,
    ),
    "average that need not stand out": (
        [("AveragePool", ["x"], "y",
          {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1})],
        IMAGE, 19,
    ),
    "largest of all": ([("GlobalMaxPool", ["x"], "y", {})], IMAGE, 17),
    "subtraction": ([CONV, ("Sub", ["c", "x"], "y", {})], IMAGE, 17),
    "product of two": (
        [CONV, ("GlobalAveragePool", ["c"], "g", {}), ("Sigmoid", ["g"], "s", {}),
         ("Mul", ["c", "s"], "y", {})], IMAGE, 17,
    ),
    "normalisation by itself": (
        [("MaxPool", ["x"], "p", {"kernel_shape": [2, 2]}),
         ("BatchNormalization", ["p", "scale", "beta", "mean", "var"], "n", {}),
         ("Relu", ["n"], "y", {})], IMAGE, 15,
    ),
    "normalisation ahead": (
        [("BatchNormalization", ["x", "scale", "beta", "mean", "var"], "n", {}),
         ("Conv", ["n", "v"], "y", {})], IMAGE, 15,
    ),
    "slope by channel": ([CONV, ("PRelu", ["c", "slope"], "y", {})], IMAGE, 17),
    "leaky": ([CONV, ("LeakyRelu", ["c"], "y", {"alpha": 0.2})], IMAGE, 17),
    "sigmoid": ([CONV, ("Sigmoid", ["c"], "y", {})], IMAGE, 17),
    "tanh": ([CONV, ("Tanh", ["c"], "y", {})], IMAGE, 17),
    "elu": ([CONV, ("Elu", ["c"], "y", {})], IMAGE, 17),
    "hard swish": ([CONV, ("HardSwish", ["c"], "y", {})], IMAGE, 17),
    "hard swish of parts": (
        [CONV, ("Add", ["c", "three"], "a", {}), ("Clip", ["a", "zero", "six"], "b", {}),
         ("Mul", ["c", "b"], "m", {}), ("Div", ["m", "six"], "y", {})], IMAGE, 17,
    ),
    "swish": ([CONV, ("Sigmoid", ["c"], "s", {}), ("Mul", ["c", "s"], "y", {})], IMAGE, 17),
    "gelu of erf": ([CONV, *ERF], IMAGE, 17),
    "gelu": ([CONV, ("Gelu", ["c"], "y", {"approximate": "tanh"})], IMAGE, 20),
    "power": ([CONV, ("Pow", ["c", "two"], "y", {})], IMAGE, 17),
    "nearest": ([("Resize", ["x", "", "sizes"], "y",
                  {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
                   "nearest_mode": "floor"})], IMAGE, 17),
    "padding": ([("Pad", ["x", "pads"], "p", {}), ("Conv", ["p", "w"], "y", {})], IMAGE, 17),
    "padding by itself": ([CONV, ("Pad", ["c", "pads"], "y", {})], IMAGE, 17),
    "slice": ([("Slice", ["x", "starts", "ends", "axes", "steps"], "y", {})], IMAGE, 17),
    "split": (
        [("Split", ["x", "parts"], "p q", {"axis": 1}), ("Relu", ["q"], "r", {}),
         ("Concat", ["r", "p"], "y", {"axis": 1})], IMAGE, 17,
    ),
    "one channel": ([("Gather", ["x", "place"], "y", {"axis": 1})], IMAGE, 17),
    "transpose": ([("Transpose", ["x"], "y", {"perm": [0, 2, 3, 1]})], IMAGE, 17),
    "local response": ([CONV, ("LRN", ["c"], "y", {"size": 3, "alpha": 0.5})], IMAGE, 17),
    "dense by token": ([("MatMul", ["x", "d"], "m", {}), ("Add", ["m", "offset"], "y", {})],
                       TOKENS, 17),
    "position": ([("MatMul", ["x", "d"], "m", {}), ("Add", ["m", "position"], "y", {})],
                 TOKENS, 17),
    "mean of tokens": ([("ReduceMean", ["x"], "y", {"axes": [1], "keepdims": 0})], TOKENS, 17),
    "mean in opset 18": ([("ReduceMean", ["x", "rows"], "y", {})], TOKENS, 18),
    "class token": ([("Concat", ["cls", "x"], "k", {"axis": 1}), ("MatMul", ["k", "d"], "y", {})],
                    TOKENS, 17),
}  # fmt: skip
EXTENSION = {
    "deconvolution": ([("ConvTranspose", ["x", "t"], "y", {"strides": [2, 2]})], IMAGE, 17),
    "deconvolution in groups": (
        [("ConvTranspose", ["x", "t2"], "y",
          {"strides": [2, 2], "group": 2, "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
         ], IMAGE, 17,
    ),
    "deconvolution and normalisation": (
        [("ConvTranspose", ["x", "t2"], "u", {"group": 2}),
         ("BatchNormalization", ["u", "scale", "beta", "mean", "var"], "y", {})], IMAGE, 15,
    ),
    "convolution 3D": ([("Conv", ["x", "w3"], "y", {})], VOLUME, 17),
    "maximum 3D": ([("MaxPool", ["x"], "y", {"kernel_shape": [2, 2, 2]})], VOLUME, 17),
    "average that stands out": (
        [("AveragePool", ["x"], "y",
          {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})], IMAGE, 19,
    ),
    "linear": ([("Resize", ["x", "", "sizes"], "y", {"mode": "linear"})], IMAGE, 17),
    "softmax": ([("MatMul", ["x", "d"], "m", {}), ("Softmax", ["m"], "y", {"axis": -1})],
                TOKENS, 17),
    "layer norm": ([("LayerNormalization", ["x", "gamma", "offset"], "y", {})], TOKENS, 17),
    "attention": (
        [("Reshape", ["x", "heads"], "h", {}), ("Transpose", ["h"], "q", {"perm": [0, 2, 1, 3]}),
         ("Transpose", ["h"], "k", {"perm": [0, 2, 3, 1]}), ("MatMul", ["q", "k"], "s", {}),
         ("Div", ["s", "two"], "z", {}), ("Softmax", ["z"], "p", {"axis": -1}),
         ("MatMul", ["p", "q"], "y", {})], TOKENS, 17,
    ),
}  # fmt: skip
CASES = [
    *((name, form) for name in BOTH for form in Form),
    *((name, Form.EXTENSION) for name in EXTENSION),
]


@pytest.mark.parametrize(("name", "form"), CASES)
def test_near_the_float_model_and_equal_as_layers(name, form):
    nodes, shape, opset = (BOTH | EXTENSION)[name]
    content = write_onnx(nodes, CONSTANTS, shape, opset=opset)
    found = convert(content, floats(64, *shape), settings=Settings(form=form))
    assert found.report.sqnr_db is None or found.report.sqnr_db > 26, found.report.layers
    graph = load(found.symbol, found.parameters, extended=True)
    extremes = GENERATOR.choice(np.array([-127, 0, 127], np.int8), graph.input_shape)
    compare(graph, extremes.tobytes())


@pytest.mark.parametrize("name", EXTENSION)
def test_the_official_form_refuses_what_it_has_not(name):
    nodes, shape, opset = EXTENSION[name]
    content = write_onnx(nodes, CONSTANTS, shape, opset=opset)
    with pytest.raises(UnsupportedOperator, match="extension form only"):
        convert(content, floats(8, *shape), judge=False)


@pytest.mark.parametrize("form", Form)
def test_embedding(form):
    """Rows by number: the input is the number itself."""
    nodes = [("Gather", ["table", "x"], "e", {}), ("MatMul", ["e", "d"], "y", {})]
    content = write_onnx(nodes, CONSTANTS, (6,), kind=TensorProto.INT64)
    words = GENERATOR.integers(0, 20, (40, 6)).astype(np.float32)
    found = convert(content, words, settings=Settings(form=form))
    assert found.report.sqnr_db > 35 and found.input_scale == 1.0
    with pytest.raises(CalibrationFailed, match=r"its scale is 1, not 0\.5"):
        convert(content, words, settings=Settings(form=form, input_scale=0.5))


def test_rows_by_computed_numbers_are_refused():
    nodes = [
        ("Cast", ["x"], "f", {"to": TensorProto.FLOAT}), ("Mul", ["f", "two"], "m", {}),
        ("Cast", ["m"], "i", {"to": TensorProto.INT64}), ("Gather", ["table", "i"], "y", {}),
    ]  # fmt: skip
    content = write_onnx(nodes, CONSTANTS, (6,), kind=TensorProto.INT64)
    with pytest.raises(UnsupportedOperator, match="'node_i': Cast of real"):
        convert(content, np.ones((4, 6), np.float32))
    whole = [("Mul", ["x", "place"], "m", {}), ("Gather", ["table", "m"], "y", {})]
    two = CONSTANTS | {"place": np.array(2, np.int64)}
    content = write_onnx(whole, two, (6,), kind=TensorProto.INT64)
    with pytest.raises(UnsupportedOperator, match="'node_y': Gather by computed indices"):
        convert(content, np.ones((4, 6), np.float32))


def test_functions_of_one_value_become_one_table():
    for name in ("gelu of erf", "swish", "hard swish of parts"):
        nodes, shape, opset = BOTH[name]
        content = write_onnx(nodes, CONSTANTS, shape, opset=opset)
        settings = Settings(form=Form.EXTENSION)
        found = convert(content, floats(8, *shape), settings=settings, judge=False)
        steps = [each.operator.name for each in load(found.symbol, found.parameters,
                                                     extended=True).steps]  # fmt: skip
        assert [each for each in steps if each != "cvm_clip"] == ["conv2d", "requantise", "table"]


@pytest.mark.parametrize("batch", [1, 3])
def test_batches(batch):
    """Seven samples in batches; the last is filled up and what filled it is not judged."""
    nodes, shape, opset = BOTH["leaky"]
    content = write_onnx(nodes, CONSTANTS, shape, opset=opset)
    settings = Settings(form=Form.EXTENSION, batch=batch)
    found = convert(content, floats(7, *shape), settings=settings)
    assert load(found.symbol, found.parameters, extended=True).input_shape == (batch, *shape)
    assert found.report.samples == 7 and found.report.sqnr_db > 30


def test_a_batch_larger_than_the_samples_learns_the_same():
    """What fills the batch up weighs each sample alike."""
    nodes, shape, opset = BOTH["leaky"]
    content, samples = write_onnx(nodes, CONSTANTS, shape, opset=opset), floats(4, *shape)
    one, eight = (
        convert(content, samples, settings=Settings(form=Form.EXTENSION, batch=batch), judge=False)
        for batch in (1, 8)
    )
    assert eight.parameters == one.parameters
