"""The whole conversion: ONNX and samples in, an integer model and a report out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from node.mrt.calibration import FloatModel, Method, Samples, find_limits
from node.mrt.errors import CalibrationFailed
from node.mrt.evaluation import EvaluationInput, Labels, Report, evaluate
from node.mrt.onnx_reader import parse_onnx, read_network
from node.mrt.quantisation import INT8_LIMIT, IntegerModel, Scaling, quantise


@dataclass(frozen=True)
class Settings:
    """How to convert. ``input_scale`` is what one step of the int8 input is worth; None takes
    the smallest that holds all samples."""

    input_scale: float | None = None
    scaling: Scaling = Scaling.SHIFT
    method: Method = Method.MIN_MAX
    percentile: float = 99.99


@dataclass(frozen=True)
class Conversion:
    """A converted model. ``output_scale`` turns its first output's integers into real numbers."""

    symbol: bytes
    parameters: bytes
    input_scale: float
    output_scale: float
    report: Report


def convert(
    content: bytes,
    calibration: Samples,
    *,
    settings: Settings | None = None,
    evaluation: Samples | None = None,
    labels: Labels | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Conversion:
    """Convert an ONNX model.

    Args:
        content: The ONNX file.
        calibration: Real inputs (n, …) that span what the model will see.
        evaluation: Real inputs to report on; the calibration's if left out.
        labels: Class of each evaluation input, for the accuracies.
        progress: Told the stage, what is done and what there is to do.

    Raises:
        MrtError: the model or the samples cannot be used; the message names what is wrong.
    """
    settings = settings or Settings()
    model = parse_onnx(content)
    network = read_network(model)
    floats = FloatModel(model, network)
    limits = find_limits(
        floats,
        calibration,
        settings.method,
        settings.percentile,
        lambda done: progress("calibrate", done, len(calibration)),
    )
    scale = _choose_input_scale(settings, calibration)

    def build(batch: int, show_layers: bool) -> IntegerModel:
        return quantise(
            network, limits, scale, scaling=settings.scaling, batch=batch, show_layers=show_layers
        )

    integer = build(1, False)
    samples = calibration if evaluation is None else evaluation
    report = evaluate(
        EvaluationInput(floats, network, build, scale, samples, labels, len(content)),
        lambda done: progress("evaluate", done, len(samples)),
    )
    return Conversion(integer.symbol, integer.parameters, scale, integer.output_scales[0], report)


def _choose_input_scale(settings: Settings, samples: Samples) -> float:
    scale = settings.input_scale
    if scale is None:
        scale = float(np.abs(samples).max()) / INT8_LIMIT
    if not scale > 0 or not np.isfinite(scale):
        raise CalibrationFailed(f"the input's scale {scale} must be above 0")
    return scale
