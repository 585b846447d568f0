"""What a conversion costs: the integer model beside the float one, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.mrt.calibration import FloatModel, Samples
from node.mrt.errors import CalibrationFailed
from node.mrt.network import Network
from node.mrt.quantisation import INT8_LIMIT, IntegerModel
from node.spec.cvm import load
from node.spec.cvm.execution import compute_heads

Labels = NDArray[np.integer]
Integers = NDArray[np.int32]

#: Inputs that the reference computes at once.
_BATCH = 64


@dataclass(frozen=True)
class LayerReport:
    """Signal to quantisation noise of one layer, in decibels; None where there is no noise or
    no signal."""

    name: str
    kind: str
    scale: float
    sqnr_db: float | None


@dataclass(frozen=True)
class Report:
    """What a conversion cost. Accuracies are ratios, None without labels."""

    layers: tuple[LayerReport, ...]
    samples: int
    sqnr_db: float | None
    agreement: float
    """Share of samples on which both models have the same largest output."""
    accuracy_before: float | None
    accuracy_after: float | None
    operations: int
    """Operations of one inference: the base of its gas."""
    symbol_bytes: int
    parameter_bytes: int
    onnx_bytes: int


@dataclass(frozen=True)
class EvaluationInput:
    """What there is to compare. ``build`` makes the integer model of a batch size, with its
    outputs or with all its layers shown."""

    floats: FloatModel
    network: Network
    build: Callable[[int, bool], IntegerModel]
    input_scale: float
    samples: Samples
    labels: Labels | None
    onnx_bytes: int


def quantise_input(samples: Samples, scale: float) -> Integers:
    """The int8 input (in int32) that stands for real inputs."""
    clipped: Samples = np.clip(np.rint(samples / scale), -INT8_LIMIT, INT8_LIMIT)
    return clipped.astype(np.int32)


def evaluate(given: EvaluationInput, progress: Callable[[int], None] = lambda done: None) -> Report:
    """Run both models on all samples.

    Raises:
        CalibrationFailed: the labels do not fit the samples.
    """
    if given.labels is not None and len(given.labels) != len(given.samples):
        raise CalibrationFailed(f"{len(given.labels)} labels for {len(given.samples)} samples")
    before = given.floats.collect(given.samples)
    model = given.build(1, False)
    after = _run_integers(given, model, progress)
    output = given.network.outputs[0]
    classes = [_classify(values[output]) for values in (before, after)]
    accuracies = [_rate(found, given.labels) for found in classes]
    return Report(
        layers=tuple(
            LayerReport(
                layer.name,
                layer.kind,
                model.scales[layer.name],
                _sqnr_db(before[layer.name], after[layer.name]),
            )
            for layer in given.network.layers
        ),
        samples=len(given.samples),
        sqnr_db=_sqnr_db(before[output], after[output]),
        agreement=float(np.mean(classes[0] == classes[1])),
        accuracy_before=accuracies[0],
        accuracy_after=accuracies[1],
        operations=load(model.symbol, model.parameters).operations(),
        symbol_bytes=len(model.symbol),
        parameter_bytes=len(model.parameters),
        onnx_bytes=given.onnx_bytes,
    )


def _run_integers(
    given: EvaluationInput, model: IntegerModel, progress: Callable[[int], None]
) -> dict[str, Samples]:
    """Every layer's real values as the integer model has them, by name."""
    integers = quantise_input(given.samples, given.input_scale)
    names = [layer.name for layer in given.network.layers]
    parts: list[list[Integers]] = []
    graphs = {}
    for start in range(0, len(integers), _BATCH):
        chunk = integers[start : start + _BATCH]
        if len(chunk) not in graphs:
            shown = given.build(len(chunk), True)
            graphs[len(chunk)] = load(shown.symbol, shown.parameters)
        parts.append(list(compute_heads(graphs[len(chunk)], chunk)))
        progress(start + len(chunk))
    columns = zip(*parts, strict=True)
    return {
        name: (np.concatenate(column) * model.scales[name]).astype(np.float32)
        for name, column in zip(names, columns, strict=True)
    }


def _classify(outputs: Samples) -> NDArray[np.intp]:
    found: NDArray[np.intp] = np.argmax(outputs.reshape(len(outputs), -1), axis=1)
    return found


def _rate(found: NDArray[np.intp], labels: Labels | None) -> float | None:
    return None if labels is None else float(np.mean(found == labels))


def _sqnr_db(before: Samples, after: Samples) -> float | None:
    signal = float(np.square(before, dtype=np.float64).sum())
    noise = float(np.square(before.reshape(after.shape) - after, dtype=np.float64).sum())
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None
