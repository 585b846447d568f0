"""Passes leave what a network computes as it is, and conversions better for it."""

from __future__ import annotations

import numpy as np
import pytest

from node.mrt.calibration import FloatModel, Method, calibrate
from node.mrt.conversion import Form, Settings, convert
from node.mrt.errors import CalibrationFailed, MrtError, UnsupportedOperator
from node.mrt.frontend.onnx_model import parse_onnx, prepare
from node.mrt.frontend.reader import read_network
from node.mrt.layers import Convolution
from node.mrt.passes.equalisation import equalise
from node.mrt.passes.pipeline import simplify
from node.spec.cvm import load
from tests.support.onnx_networks import write_onnx

SHAPE = (4, 6, 6)
NUMBERS = np.random.default_rng(2)


def floats(*shape):
    return NUMBERS.normal(0, 0.5, shape).astype(np.float32)


UNEVEN = np.geomspace(0.01, 1, 8).astype(np.float32)
CONSTANTS = {
    "w": floats(8, 4, 3, 3) * UNEVEN[:, None, None, None], "b": floats(8) * UNEVEN,
    "v": floats(5, 8, 3, 3) / UNEVEN[:, None, None], "k": np.float32(0.25),
    "means": floats(1, 4, 1, 1), "pads": np.array([0, 0, 1, 1] * 2, np.int64),
    "same": np.array([0, 5, 4, 4], np.int64), "u": floats(5, 4, 3, 3),
}  # fmt: skip
UNEVEN_CHANNELS = [
    ("Conv", ["x", "w", "b"], "c", {"pads": [1] * 4}), ("Relu", ["c"], "r", {}),
    ("Conv", ["r", "v"], "y", {"pads": [1] * 4}),
]  # fmt: skip


def prepared(nodes):
    return prepare(parse_onnx(write_onnx(nodes, CONSTANTS, SHAPE)))


def test_only_weighted_layers_are_left():
    """Means and scale of the input, zeros around it, a reshaping into the same shape."""
    nodes = [
        ("Sub", ["x", "means"], "m", {}), ("Mul", ["m", "k"], "s", {}),
        ("Conv", ["s", "u"], "c", {}), ("Reshape", ["c", "same"], "q", {}),
        ("Pad", ["q", "pads"], "p", {}), ("AveragePool", ["p"], "a", {"kernel_shape": [2, 2]}),
        ("Mul", ["a", "k"], "y", {}),
    ]  # fmt: skip
    found = simplify(read_network(prepared(nodes)))
    assert [layer.kind for layer in found.layers] == ["convolution", "average pool", "affine"]
    assert found.layers[1].window.before == (1, 1)


def test_equalisation_computes_the_same_and_evens_out():
    model = prepared(UNEVEN_CHANNELS)
    network = simplify(read_network(model))
    floats_model = FloatModel(model, network)
    samples = floats(32, *SHAPE)
    before = calibrate(floats_model, samples)
    floats_model.network = evened = equalise(network, before)
    after = calibrate(floats_model, samples)

    def spread(calibration):
        limits = calibration.channel_limits["r"]
        return limits.max() / limits.min()

    assert spread(after) < spread(before) / 5
    assert after.ranges["y"] == pytest.approx(before.ranges["y"])
    first, second = (layer for layer in evened.layers if isinstance(layer, Convolution))
    product = np.einsum("oikl,poqr->pi", first.weight, second.weight)
    plain = np.einsum("oikl,poqr->pi", CONSTANTS["w"], CONSTANTS["v"])
    assert np.allclose(product, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", Form)
def test_uneven_channels_convert_better_when_evened(form):
    content = write_onnx(UNEVEN_CHANNELS, CONSTANTS, SHAPE)
    samples = floats(32, *SHAPE)
    plain, evened = (
        convert(content, samples, settings=Settings(form=form, equalise=choice)).report.sqnr_db
        for choice in (False, True)
    )
    assert evened > plain + 6


def test_corrected_biases_leave_no_mean_error():
    content = write_onnx([("Conv", ["x", "u"], "y", {})], CONSTANTS, SHAPE)
    samples = np.abs(floats(64, *SHAPE)) + 1
    plain, corrected = (
        convert(
            content, samples,
            settings=Settings(form=Form.EXTENSION, weight_bits=4, correct_bias=choice),
        ).report.sqnr_db
        for choice in (False, True)
    )  # fmt: skip
    assert corrected > plain + 3


@pytest.mark.parametrize(("method", "most"), [(Method.PERCENTILE, 10), (Method.ENTROPY, 30)])
def test_rare_values_are_left_out(method, most):
    model = prepared([("Identity", ["x"], "i", {}), ("Relu", ["i"], "y", {})])
    network = simplify(read_network(model))
    samples = floats(64, *SHAPE)
    samples[5, 0, 0, 0] = 50
    whole = calibrate(FloatModel(model, network), samples).ranges["y"]
    cut = calibrate(FloatModel(model, network), samples, method, 99.9).ranges["y"]
    assert whole == (0, 50) and cut[0] == 0 and 0.5 < cut[1] < most


def test_a_model_that_is_not_finite_on_the_samples():
    model = prepared([("Reciprocal", ["x"], "y", {})])
    network = simplify(read_network(model))
    with pytest.raises(CalibrationFailed, match="not finite"):
        calibrate(FloatModel(model, network), np.zeros((2, *SHAPE), np.float32))


@pytest.mark.parametrize("bits", [4, 6])
def test_weights_of_fewer_bits(bits):
    content = write_onnx([("Conv", ["x", "u"], "y", {})], CONSTANTS, SHAPE)
    settings = Settings(form=Form.EXTENSION, weight_bits=bits)
    found = convert(content, floats(16, *SHAPE), settings=settings, judge=False)
    graph = load(found.symbol, found.parameters, extended=True)
    (weight,) = (graph.parameters[e] for n, e in graph.variables.items() if n.endswith("_weight"))
    assert np.abs(weight).max() == (1 << (bits - 1)) - 1
    assert found.report is None


def test_every_truncation_is_refused():
    """A file cut anywhere is no model, and never a crash."""
    content = write_onnx(UNEVEN_CHANNELS, CONSTANTS, SHAPE)
    for length in range(0, len(content), 97):
        with pytest.raises(MrtError):
            convert(content[:length], floats(4, *SHAPE), judge=False)


def test_sums_that_may_pass_32_bits_are_refused():
    """140,000 products of 127 and 127 do not fit; the node is named."""
    wide = {"d": np.ones((140_000, 1), np.float32)}
    nodes = [("Relu", ["x"], "r", {}), ("MatMul", ["r", "d"], "y", {})]
    content = write_onnx(nodes, wide, (140_000,))
    samples = np.abs(NUMBERS.normal(0, 1, (2, 140_000))).astype(np.float32)
    settings = Settings(form=Form.EXTENSION, input_scale=0.01)
    with pytest.raises(UnsupportedOperator, match=r"'node_y': dense is refused: .* beyond int32"):
        convert(content, samples, settings=settings, judge=False)
