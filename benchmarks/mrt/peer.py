"""onnxruntime: the float network, and its own static int8 quantisation of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.infer.quantised import Kind, quantise

Floats = NDArray[np.float32]
INPUT = "input"


def run_quantised(content: bytes, calibration: Floats, inputs: Floats) -> tuple[Floats, int]:
    """Answers of the quantised network, and its bytes: bytes after a ReLU unsigned, weights
    signed with a scale for each channel."""
    with tempfile.TemporaryDirectory() as folder:
        plain, made = (Path(folder) / name for name in ("plain.onnx", "made.onnx"))
        plain.write_bytes(content)
        quantise(plain, made, calibration, Kind.U8S8, INPUT)
        quantised = made.read_bytes()
    return run_float(quantised, inputs), len(quantised)


def run_float(content: bytes, inputs: Floats) -> Floats:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session: Any = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    found: Floats = session.run(None, {INPUT: inputs})[0]
    return found
