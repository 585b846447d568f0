"""The whole conversion on a trained network: what it loses, and that it runs everywhere alike."""

from __future__ import annotations

import numpy as np
import pytest

from node.mrt.calibration import Method
from node.mrt.conversion import Settings, convert
from node.mrt.evaluation import quantise_input
from node.mrt.forms.cvm_arithmetic import Scaling
from node.spec.cvm import load, run
from tests.support.digits import train_digits


@pytest.mark.parametrize("scaling", Scaling)
@pytest.mark.parametrize("method", Method)
def test_accuracy_stays(scaling, method):
    digits = train_digits()
    settings = Settings(input_scale=1.0, scaling=scaling, method=method)
    found = convert(
        digits.onnx, digits.training[:256], settings=settings,
        evaluation=digits.images, labels=digits.labels,
    )  # fmt: skip
    report = found.report
    assert report.samples == len(digits.images) == 360
    assert report.accuracy_before > 0.96
    assert report.accuracy_before - report.accuracy_after < 0.005
    assert report.sqnr_db > 30 and report.agreement > 0.99
    assert all(layer.sqnr_db > 28 for layer in report.layers)
    assert report.parameter_bytes < report.onnx_bytes / 3


def test_the_model_by_itself_has_the_reported_accuracy():
    """One image at a time, as a contract asks, from the files alone."""
    digits = train_digits()
    found = convert(
        digits.onnx, digits.training[:256], settings=Settings(input_scale=1.0),
        evaluation=digits.images, labels=digits.labels,
    )  # fmt: skip
    graph = load(found.symbol, found.parameters)
    assert graph.input_shape == (1, 1, 8, 8) and graph.output_bytes == 10
    right = 0
    for image, label in zip(quantise_input(digits.images, 1.0), digits.labels, strict=True):
        answer = np.frombuffer(run(graph, image.astype(np.int8).tobytes()), np.int8)
        right += int(answer.argmax() == label)
    assert right / len(digits.labels) == pytest.approx(found.report.accuracy_after)
    assert graph.operations() == found.report.operations
