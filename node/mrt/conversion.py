"""The whole conversion: a float model and samples in, an integer model and a report out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from node.mrt.calibration import FloatModel, Method, Samples, calibrate
from node.mrt.errors import CalibrationFailed, TooLarge
from node.mrt.evaluation import (
    Evaluation,
    Labels,
    Report,
    RunModel,
    evaluate,
    run_reference,
)
from node.mrt.forms.builder import Builder, Calibration, IntegerModel
from node.mrt.forms.cvm import CvmBuilder
from node.mrt.forms.cvm_arithmetic import Scaling
from node.mrt.forms.extension import ExtensionBuilder
from node.mrt.forms.numbers import SIGNED_LIMIT
from node.mrt.frontend.onnx_model import parse_onnx, prepare
from node.mrt.frontend.reader import read_network
from node.mrt.layers import Embed
from node.mrt.network import Network
from node.mrt.passes.equalisation import equalise
from node.mrt.passes.pipeline import simplify
from node.spec.cvm import CvmLoadError, load_graph

Progress = Callable[[str, int, int], None]


class Form(StrEnum):
    """Which integer form: the official one runs on Cortex, the extension on farmnet."""

    CVM = "cvm"
    EXTENSION = "extension"


@dataclass(frozen=True)
class Settings:
    """How to convert."""

    form: Form = Form.CVM
    input_scale: float | None = None
    """What one step of the int8 input is worth; None takes the smallest that holds all samples."""
    scaling: Scaling = Scaling.SHIFT
    """Of the CVM form: a shift for each layer, or a multiplier for each channel."""
    method: Method = Method.MIN_MAX
    percentile: float = 99.99
    weight_bits: int = 8
    """8, or 6 for smaller models."""
    equalise: bool = False
    """Even out the channels between layers: for networks whose channels differ widely."""
    correct_bias: bool = True
    """Take the mean error of rounded weights out of the bias."""
    batch: int | None = None
    """Inputs that one inference takes; None leaves a fixed batch and takes 1 for an open one."""


@dataclass(frozen=True)
class Conversion:
    """A converted model. ``output_scale`` turns its first output's integers into real numbers.
    ``report`` is None where none was asked for."""

    symbol: bytes
    parameters: bytes
    input_scale: float
    output_scale: float
    report: Report | None


def convert(
    content: bytes,
    calibration: Samples,
    *,
    settings: Settings | None = None,
    evaluation: Samples | None = None,
    labels: Labels | None = None,
    progress: Progress = lambda stage, done, total: None,
    judge: bool = True,
    run_model: RunModel = run_reference,
) -> Conversion:
    """Convert an ONNX model.

    Args:
        content: The ONNX file.
        calibration: Real inputs (n, …) that span what the model will see.
        evaluation: Real inputs to report on; the calibration's if left out.
        labels: Class of each evaluation input, for the accuracies.
        progress: Told the stage, what is done and what there is to do.
        judge: Compare the models on the evaluation; large models take long on the reference.
        run_model: Runs the integer model for the report; the reference by itself.

    Raises:
        MrtError: the model or the samples cannot be used; the message names what is wrong.
    """
    settings = settings or Settings()
    prepared = prepare(parse_onnx(content), settings.batch)
    network = simplify(read_network(prepared))
    floats = FloatModel(prepared, network)
    del prepared

    def measure() -> Calibration:
        return calibrate(
            floats,
            calibration,
            settings.method,
            settings.percentile,
            lambda done: progress("calibrate", done, len(calibration)),
        )

    found = measure()
    if settings.equalise:
        floats.network = network = equalise(network, found)
        found = measure()
    scale = _choose_input_scale(settings, network, calibration)

    def build(show_layers: bool) -> IntegerModel:
        return _open_builder(settings, network, found, scale).build(show_layers)

    integer = build(False)
    _prove(integer)
    report = None
    if judge:
        samples = calibration if evaluation is None else evaluation
        report = evaluate(
            Evaluation(floats, integer, build, scale, samples, labels, len(content), run_model),
            lambda done: progress("evaluate", done, len(samples)),
        )
    return Conversion(integer.symbol, integer.parameters, scale, integer.output_scales[0], report)


def _prove(model: IntegerModel) -> None:
    """Whether every node that loads it can pay for it."""
    try:
        load_graph(model.symbol, extended=True).operations()
    except CvmLoadError as error:
        raise TooLarge(f"the integer model is refused: {error}") from error


def _open_builder(
    settings: Settings, network: Network, calibration: Calibration, scale: float
) -> Builder:
    if not settings.correct_bias:
        calibration = Calibration(calibration.ranges)
    if settings.form is Form.EXTENSION:
        return ExtensionBuilder(network, calibration, scale, settings.weight_bits)
    return CvmBuilder(network, calibration, scale, settings.weight_bits, settings.scaling)


def _choose_input_scale(settings: Settings, network: Network, samples: Samples) -> float:
    scale = settings.input_scale
    if any(isinstance(layer, Embed) for layer in network.layers):
        if scale not in (None, 1.0):
            raise CalibrationFailed(
                f"the input counts rows of a table: its scale is 1, not {scale}"
            )
        return 1.0
    if scale is None:
        scale = float(np.abs(samples).max()) / SIGNED_LIMIT
    if not scale > 0 or not np.isfinite(scale):
        raise CalibrationFailed(f"the input's scale {scale} must be above 0")
    return scale
