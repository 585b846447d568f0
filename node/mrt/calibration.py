"""The float model on sample inputs: what it answers, and how large each tensor gets."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]
from onnxruntime.quantization.calibrate import HistogramCollector  # type: ignore[import-untyped]

from node.mrt.errors import CalibrationFailed
from node.mrt.forms.builder import Calibration
from node.mrt.layers import Constant, Convolution, Dense, Floats
from node.mrt.network import Network

Samples = NDArray[np.float32]
#: What onnxruntime raises over a model or its inputs.
REFUSALS = (
    state.Fail, state.InvalidArgument, state.InvalidGraph, state.NotImplemented,
    state.RuntimeException, UnicodeDecodeError,
)  # fmt: skip

_BINS, _QUANTISED_BINS = 2048, 128
_ENTROPY_BINS = 512


class Method(StrEnum):
    """How the range of a tensor is found: as seen, or leaving out rare values."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"


class FloatModel:
    """The ONNX model with every tensor of the network as an output."""

    def __init__(self, model: onnx.ModelProto, network: Network) -> None:
        self.network = network
        made = {name for node in model.graph.node for name in node.output}
        self.names = [layer.name for layer in network.layers if layer.name in made]
        """Layers whose values onnxruntime knows."""
        self.session = _open_session(model, self.names)
        self.batch = network.input_shape[0]
        self.type = _TYPES.get(self.session.get_inputs()[0].type, np.float32)

    def run(
        self, samples: Samples, names: Sequence[str] | None = None
    ) -> Iterator[dict[str, Samples]]:
        """Tensors by name, all if no names are given, a batch at a time; the last batch is filled
        up by its own samples.

        Raises:
            CalibrationFailed: the samples do not have the input's shape, or are not finite.
        """
        check_samples(samples, self.network.input_shape)
        names = self.names if names is None else names
        for chunk in cut_batches(samples, self.batch):
            try:
                values = self.session.run(names, {self._input(): chunk.astype(self.type)})
            except REFUSALS as error:
                raise CalibrationFailed(f"onnxruntime refuses the samples: {error}") from error
            found = dict(zip(names, values, strict=True))
            found[self.network.input_name] = chunk.astype(np.float32)
            yield {name: self._as_network(name, value) for name, value in found.items()}

    def _input(self) -> str:
        return str(self.session.get_inputs()[0].name)

    def _as_network(self, name: str, value: NDArray[Any]) -> Samples:
        shape, factor = self.network.shape_of(name), self.network.factors.get(name)
        if value.shape != shape:
            raise CalibrationFailed(f"{name!r} is {value.shape}, the model says {shape}")
        real = value.astype(np.float32, copy=False)
        return real if factor is None else real * factor

    def compute(self, samples: Samples, name: str) -> Samples:
        """One tensor for all samples (axis 0), and for what fills up the last batch."""
        return np.concatenate([values[name] for values in self.run(samples, [name])])


_TYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


def _open_session(model: onnx.ModelProto, names: list[str]) -> onnxruntime.InferenceSession:
    known = {each.name for each in model.graph.output}
    added = [name for name in names if name not in known]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in added)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except REFUSALS as error:
        raise CalibrationFailed(f"onnxruntime cannot run the model: {error}") from error
    finally:
        del model.graph.output[len(model.graph.output) - len(added) :]


def check_samples(samples: Samples, shape: tuple[int, ...]) -> None:
    """Raises CalibrationFailed unless the samples are finite and of the input's shape."""
    if samples.shape[1:] != shape[1:] or not len(samples):
        raise CalibrationFailed(f"samples are {samples.shape}, the model takes (n, *{shape[1:]})")
    if not np.isfinite(samples).all():
        where = np.argwhere(~np.isfinite(samples))[0].tolist()
        raise CalibrationFailed(f"sample {where[0]} is not finite at {where[1:]}")


def cut_batches(samples: NDArray[Any], batch: int) -> Iterator[NDArray[Any]]:
    """Chunks of ``batch`` samples; the last is filled up by its own samples in turn, so that none
    weighs much more than others in what is learnt from it."""
    for start in range(0, len(samples), batch):
        chunk = samples[start : start + batch]
        yield np.resize(chunk, (batch, *samples.shape[1:]))


def calibrate(
    model: FloatModel,
    samples: Samples,
    method: Method = Method.MIN_MAX,
    percentile: float = 99.99,
    progress: Callable[[int], None] = lambda done: None,
) -> Calibration:
    """Ranges and means of the network's tensors over the samples.

    Args:
        percentile: With `Method.PERCENTILE`, the share of magnitudes (in percent) that must fit.
        progress: Told how many samples are done.

    Raises:
        CalibrationFailed: the samples do not fit, or a tensor is not finite on them.
    """
    seen, channels = _Ranges(), _Channels(model.network)
    for done, values in enumerate(model.run(samples), 1):
        seen.add(values)
        channels.add(values)
        progress(min(done * model.batch, len(samples)))
    ranges = seen.ranges
    if method is not Method.MIN_MAX:
        ranges = _leave_out_rare(model, samples, seen.ranges, method, percentile)
    constants = {
        layer.name: (float(layer.value.min()), float(layer.value.max()))
        for layer in model.network.layers
        if isinstance(layer, Constant)
    }
    return Calibration(ranges | constants, channels.means(), channels.limits)


class _Ranges:
    """Least and largest of each tensor."""

    def __init__(self) -> None:
        self.ranges: dict[str, tuple[float, float]] = {}

    def add(self, values: Mapping[str, Samples]) -> None:
        for name, array in values.items():
            low, high = float(array.min()), float(array.max())
            if not np.isfinite(low + high):
                raise CalibrationFailed(f"{name!r} is not finite on the samples")
            before = self.ranges.get(name, (low, high))
            self.ranges[name] = min(low, before[0]), max(high, before[1])


def _leave_out_rare(
    model: FloatModel,
    samples: Samples,
    seen: Mapping[str, tuple[float, float]],
    method: Method,
    percentile: float,
) -> dict[str, tuple[float, float]]:
    """onnxruntime's choice from histograms, which are of the whole range from the start: they
    grow slow where it comes bit by bit."""
    bins = _ENTROPY_BINS if method is Method.ENTROPY else _BINS
    collector = HistogramCollector(str(method), True, bins, _QUANTISED_BINS, percentile, "same")
    with redirect_stdout(io.StringIO()):  # it tells its progress there
        limits = {name: max(map(abs, bounds)) for name, bounds in seen.items()}
        collector.collect({name: [np.array([0, x], np.float32)] for name, x in limits.items()})
        for values in model.run(samples):
            collector.collect({name: [array] for name, array in values.items()})
        found = collector.compute_collection_result()
    return {name: (float(each[0]), float(each[1])) for name, each in found.items()}


class _Channels:
    """Mean and largest magnitude of each channel of what weighted layers read."""

    def __init__(self, network: Network) -> None:
        self.axes: dict[str, int] = {}
        for layer in network.layers:
            if isinstance(layer, Convolution | Dense):
                rank = len(network.shape_of(layer.inputs[0]))
                self.axes[layer.inputs[0]] = 1 if isinstance(layer, Convolution) else rank - 1
        self.sums: dict[str, NDArray[np.float64]] = {}
        self.limits: dict[str, Floats] = {}
        self.count = 0

    def add(self, values: Mapping[str, Samples]) -> None:
        self.count += 1
        for name, axis in self.axes.items():
            others = tuple(at for at in range(values[name].ndim) if at != axis)
            mean = values[name].mean(axis=others, dtype=np.float64)
            limit = np.maximum(values[name].max(axis=others), -values[name].min(axis=others))
            self.sums[name] = self.sums.get(name, 0.0) + mean
            self.limits[name] = np.maximum(self.limits.get(name, np.float32(0)), limit)

    def means(self) -> dict[str, Floats]:
        return {name: (total / self.count).astype(np.float32) for name, total in self.sums.items()}
