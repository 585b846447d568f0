"""onnxruntime: the float network, and its own static int8 quantisation of it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import (  # type: ignore[import-untyped]
    quant_pre_process,
)

Floats = NDArray[np.float32]
INPUT = "input"


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Floats) -> None:
        self._left: Iterator[Floats] = iter(samples[:, None])

    def get_next(self) -> dict[str, Floats] | None:
        sample = next(self._left, None)
        return None if sample is None else {INPUT: sample}


def run_float(content: bytes, inputs: Floats) -> Floats:
    return _run(content, inputs)


def run_quantised(content: bytes, calibration: Floats, inputs: Floats) -> tuple[Floats, int]:
    """Answers of the quantised network, and its bytes: bytes after a ReLU unsigned, weights
    signed with a scale for each channel."""
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        plain, ready, made = (Path(folder) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        plain.write_bytes(content)
        quant_pre_process(str(plain), str(ready))
        quantize_static(
            str(ready), str(made), _Samples(calibration), quant_format=QuantFormat.QDQ,
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        quantised = made.read_bytes()
    onnx.checker.check_model(onnx.load_from_string(quantised))
    return _run(quantised, inputs), len(quantised)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that onnxruntime writes to the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _run(content: bytes, inputs: Floats) -> Floats:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session: Any = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    found: Floats = session.run(None, {INPUT: inputs})[0]
    return found
