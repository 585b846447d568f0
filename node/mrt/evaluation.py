"""What a conversion costs: the integer model beside the float one, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.mrt.calibration import FloatModel, Samples, cut_batches
from node.mrt.errors import CalibrationFailed
from node.mrt.forms.builder import IntegerModel, find_input_limit
from node.mrt.forms.numbers import SIGNED_LIMIT
from node.spec.cvm import Graph, load
from node.spec.cvm.execution import compute_heads

Labels = NDArray[np.integer]
Integers = NDArray[np.int32]
#: Runs a model on batches of its input; gives the heads of each.
RunModel = Callable[[Graph, Iterator[Integers]], Iterator[list[Integers]]]

#: Inputs on which every layer is compared; the outputs are on all.
LAYER_SAMPLES = 32


@dataclass(frozen=True)
class LayerReport:
    """Signal to quantisation noise of one layer, in decibels; None where there is no noise or
    no signal."""

    name: str
    kind: str
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
class Evaluation:
    """What there is to compare. ``build`` makes the model with all its layers shown."""

    floats: FloatModel
    model: IntegerModel
    build: Callable[[bool], IntegerModel]
    input_scale: float
    samples: Samples
    labels: Labels | None
    onnx_bytes: int
    run_model: RunModel


def run_reference(graph: Graph, inputs: Iterator[Integers]) -> Iterator[list[Integers]]:
    """On the slow reference."""
    return (compute_heads(graph, values) for values in inputs)


def quantise_input(samples: Samples, scale: float, limit: int = SIGNED_LIMIT) -> Integers:
    """The integers within ±limit (in int32) that stand for real inputs."""
    clipped: Samples = np.clip(np.rint(samples / scale), -limit, limit)
    return clipped.astype(np.int32)


def evaluate(given: Evaluation, progress: Callable[[int], None] = lambda done: None) -> Report:
    """Run both models on all samples.

    Raises:
        CalibrationFailed: the labels do not fit the samples.
    """
    if given.labels is not None and given.labels.shape != (len(given.samples),):
        raise CalibrationFailed(
            f"labels are {given.labels.shape}, not one class a sample: ({len(given.samples)},)"
        )
    output = given.floats.network.outputs[0]
    before = given.floats.compute(given.samples, output)
    graph = load(given.model.symbol, given.model.parameters, extended=True)
    after = _run_outputs(given, graph, progress)
    before, after = (each[: len(given.samples)] for each in (before, after))
    classes = [_classify(values) for values in (before, after)]
    accuracies = [_rate(found, given.labels) for found in classes]
    return Report(
        layers=_compare_layers(given),
        samples=len(given.samples),
        sqnr_db=sqnr_db(before, after),
        agreement=float(np.mean(classes[0] == classes[1])),
        accuracy_before=accuracies[0],
        accuracy_after=accuracies[1],
        operations=graph.operations(),
        symbol_bytes=len(given.model.symbol),
        parameter_bytes=len(given.model.parameters),
        onnx_bytes=given.onnx_bytes,
    )


def _quantise(given: Evaluation, samples: Samples) -> Integers:
    limit = find_input_limit(given.floats.network)
    return quantise_input(samples, given.input_scale, limit)


def _run_outputs(
    given: Evaluation, graph: Graph, progress: Callable[[int], None]
) -> NDArray[np.float32]:
    """The first output's real values, one row a sample."""
    batch = graph.input_shape[0]
    integers = cut_batches(_quantise(given, given.samples), batch)
    parts = []
    for done, heads in enumerate(given.run_model(graph, integers), 1):
        parts.append(heads[0] * np.float32(given.model.output_scales[0]))
        progress(min(done * batch, len(given.samples)))
    return np.concatenate(parts)


def _compare_layers(given: Evaluation) -> tuple[LayerReport, ...]:
    """Every layer's real values in both models, on a few samples."""
    samples = given.samples[:LAYER_SAMPLES]
    shown = given.build(True)
    names = list(shown.scales)
    graph = load(shown.symbol, shown.parameters, extended=True)
    integers = cut_batches(_quantise(given, samples), graph.input_shape[0])
    noise: dict[str, list[float]] = {name: [0.0, 0.0] for name in names}
    for floats, heads in zip(
        given.floats.run(samples), given.run_model(graph, integers), strict=True
    ):
        for name, head in zip(names, heads, strict=True):
            if name in floats:
                _add_noise(noise[name], floats[name], head * np.float32(shown.scales[name]))
    return _describe_layers(given, shown.scales, noise)


def _describe_layers(
    given: Evaluation, scales: Mapping[str, float], noise: Mapping[str, list[float]]
) -> tuple[LayerReport, ...]:
    return tuple(
        LayerReport(name, _describe_kind(given, name, scales), _decibels(*noise[name]))
        for name in scales
        if name in given.floats.names
    )


def _describe_kind(given: Evaluation, name: str, shown: Mapping[str, float]) -> str:
    """The layer's kind, behind that of the layer that it cuts off."""
    network = given.floats.network
    layer = network.makers[name]
    before = network.makers.get(layer.inputs[0]) if layer.inputs else None
    if before is None or before.name in shown:
        return layer.kind
    return f"{_describe_kind(given, before.name, shown)} + {layer.kind}"


def _add_noise(sums: list[float], before: Samples, after: Samples) -> None:
    real = before.astype(np.float64)
    sums[0] += float(np.square(real).sum())
    sums[1] += float(np.square(real.reshape(after.shape) - after).sum())


def _classify(outputs: Samples) -> NDArray[np.intp]:
    found: NDArray[np.intp] = np.argmax(outputs.reshape(len(outputs), -1), axis=1)
    return found


def _rate(found: NDArray[np.intp], labels: Labels | None) -> float | None:
    return None if labels is None else float(np.mean(found == labels))


def sqnr_db(before: Samples, after: Samples) -> float | None:
    """Signal to quantisation noise; None where there is no noise or no signal."""
    sums = [0.0, 0.0]
    _add_noise(sums, before, after)
    return _decibels(*sums)


def _decibels(signal: float, noise: float) -> float | None:
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None
