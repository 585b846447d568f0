"""A trained network in every form: accuracy, noise, size, gas and seconds."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.mrt.peer import run_float, run_quantised
from benchmarks.mrt.training import Trained
from node.mrt.calibration import Method
from node.mrt.conversion import Form, Settings, convert
from node.mrt.evaluation import sqnr_db
from node.mrt.forms.cvm_arithmetic import Scaling

CALIBRATION = 256
_EXTENSION: dict[str, dict[str, Any]] = {
    "extension": {},
    "extension, entropy": {"method": Method.ENTROPY},
    "extension, percentile 99.99": {"method": Method.PERCENTILE},
    "extension, equalised": {"equalise": True},
    "extension, biases as they are": {"correct_bias": False},
    "extension, 6-bit weights": {"weight_bits": 6},
    "extension, 6-bit weights, equalised": {"weight_bits": 6, "equalise": True},
}
_CVM: dict[str, dict[str, Any]] = {
    "cvm, shift": {},
    "cvm, shift, equalised": {"equalise": True},
    "cvm, multiplier": {"scaling": Scaling.MULTIPLIER},
    "cvm, multiplier, 6-bit weights": {"scaling": Scaling.MULTIPLIER, "weight_bits": 6},
}


def judge(trained: Trained) -> list[dict[str, Any]]:
    """A row for each variant; the float network and onnxruntime's int8 come first."""
    rows = [_judge_float(trained), _judge_peer(trained)]
    forms = [(name, Settings(form=Form.EXTENSION, **each)) for name, each in _EXTENSION.items()]
    if trained.task.has_cvm:
        forms += [(name, Settings(form=Form.CVM, **each)) for name, each in _CVM.items()]
    return rows + [_judge_form(trained, name, settings) for name, settings in forms]


def _row(
    name: str,
    accuracy: float | None,
    size: int,
    sqnr: float | None = None,
    *,
    worst: float | None = None,
    operations: int | None = None,
    seconds: float | None = None,
) -> dict[str, Any]:
    return {
        "variant": name,
        "accuracy": accuracy,
        "sqnr_db": sqnr,
        "worst_layer_sqnr_db": worst,
        "bytes": size,
        "operations": operations,
        "convert_and_judge_cpu_seconds": seconds,
    }


def _judge_float(trained: Trained) -> dict[str, Any]:
    scores = run_float(trained.onnx, trained.images)
    return _row("float32", _rate(scores, trained), len(trained.onnx))


def _judge_peer(trained: Trained) -> dict[str, Any]:
    before = run_float(trained.onnx, trained.images)
    after, size = run_quantised(trained.onnx, trained.training[:CALIBRATION], trained.images)
    name = "onnxruntime int8 (QDQ, per channel)"
    return _row(name, _rate(after, trained), size, sqnr_db(before, after))


def _judge_form(trained: Trained, name: str, settings: Settings) -> dict[str, Any]:
    began = time.process_time()
    found = convert(
        trained.onnx,
        trained.training[:CALIBRATION],
        settings=replace(settings, input_scale=trained.task.input_scale),
        evaluation=trained.images,
        labels=trained.labels,
    )
    report = found.report
    assert report is not None  # as nothing kept it from judging
    return _row(
        name,
        report.accuracy_after,
        report.symbol_bytes + report.parameter_bytes,
        report.sqnr_db,
        worst=min((each.sqnr_db for each in report.layers if each.sqnr_db), default=None),
        operations=report.operations,
        seconds=time.process_time() - began,
    )


def _rate(scores: np.ndarray[Any, Any], trained: Trained) -> float:
    return float(np.mean(scores.argmax(axis=1) == trained.labels))
