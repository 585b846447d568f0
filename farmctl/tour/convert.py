"""Step 3: the trained network becomes an integer model, by the model representation tool."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farmctl.errors import BadRequest
from farmctl.tour.guide import Guide
from node.mrt.conversion import Conversion, Settings, convert
from node.mrt.errors import MrtError

#: A pixel 0…16 enters the integer model as it is.
INPUT_SCALE = 1.0


@dataclass(frozen=True)
class DigitsModel:
    """The converted model, and the held-out digits: int8 (n, 1, 8, 8) with their labels."""

    symbol: bytes
    parameters: bytes
    images: NDArray[np.int8]
    labels: NDArray[np.int8]


def convert_model(guide: Guide, job: dict[str, Any]) -> DigitsModel:
    digits = _read_digits(guide, job)
    try:
        found = convert(
            _fetch(guide, job, "model.onnx"),
            digits["calibration"].astype(np.float32),
            settings=Settings(input_scale=INPUT_SCALE),
            evaluation=digits["test_images"].astype(np.float32),
            labels=digits["test_labels"].astype(np.int64),
        )
    except MrtError as error:
        raise BadRequest(f"the model cannot be converted: {error}") from error
    _show(guide, found)
    return DigitsModel(found.symbol, found.parameters, digits["test_images"], digits["test_labels"])


def _show(guide: Guide, found: Conversion) -> None:
    report = found.report
    assert report is not None  # as nothing kept it from judging
    for layer in report.layers:
        noise = "exact" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f} dB"
        guide.say(f"{layer.kind}: signal to quantisation noise {noise}")
    guide.note(
        f"accuracy on {report.samples} held-out digits",
        f"{report.accuracy_before:.2%} before (float32), {report.accuracy_after:.2%} after (INT8)",
    )
    guide.note(
        "integer model",
        f"{report.symbol_bytes + report.parameter_bytes} bytes from {report.onnx_bytes}, "
        f"{report.operations} operations an inference",
    )


def _fetch(guide: Guide, job: dict[str, Any], name: str) -> bytes:
    return guide.client.fetch_file(f"/v1/jobs/{job['id']}/results/{name}")


def _read_digits(guide: Guide, job: dict[str, Any]) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(_fetch(guide, job, "digits.npz"))) as archive:
        return {name: archive[name] for name in archive.files}
