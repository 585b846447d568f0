"""The float model on sample inputs: what it answers, and how large each tensor gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (  # type: ignore[import-untyped]
    Fail,
    InvalidArgument,
    InvalidGraph,
)

from node.mrt.errors import CalibrationFailed
from node.mrt.network import Network

Samples = NDArray[np.float32]

_BATCH = 64
_BINS = 4096


class Method(StrEnum):
    """How the largest magnitude of a tensor is found: as seen, or leaving out rare ones."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"


class FloatModel:
    """The ONNX model with every tensor of the network as an output."""

    def __init__(self, model: onnx.ModelProto, network: Network) -> None:
        self.names = list(dict.fromkeys([*(layer.name for layer in network.layers)]))
        self.input_name = network.input_name
        self.input_shape = network.input_shape
        shown = onnx.ModelProto()
        shown.CopyFrom(model)
        known = {each.name for each in shown.graph.output}
        for name in self.names:
            if name not in known:
                tensor = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
                shown.graph.output.append(tensor)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                shown.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except (Fail, InvalidGraph, InvalidArgument) as error:
            raise CalibrationFailed(f"onnxruntime cannot run the model: {error}") from error
        self.batch = self._find_batch()

    def _find_batch(self) -> int:
        size = self.session.get_inputs()[0].shape[0]
        return size if isinstance(size, int) else _BATCH

    def run(self, samples: Samples) -> Iterator[dict[str, Samples]]:
        """Every tensor by name, a batch at a time.

        Raises:
            CalibrationFailed: the samples do not have the input's shape.
        """
        if samples.shape[1:] != self.input_shape or not len(samples):
            raise CalibrationFailed(
                f"samples are {samples.shape}, the model takes (n, *{self.input_shape})"
            )
        for start in range(0, len(samples), self.batch):
            chunk = np.ascontiguousarray(samples[start : start + self.batch], np.float32)
            try:
                values = self.session.run(self.names, {self.input_name: chunk})
            except (Fail, InvalidArgument) as error:
                raise CalibrationFailed(f"onnxruntime refuses the samples: {error}") from error
            yield dict(zip(self.names, values, strict=True))

    def collect(self, samples: Samples) -> dict[str, Samples]:
        """Every tensor by name, for all samples at once."""
        parts = list(self.run(samples))
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}


def find_limits(
    model: FloatModel,
    samples: Samples,
    method: Method = Method.MIN_MAX,
    percentile: float = 99.99,
    progress: Callable[[int], None] = lambda done: None,
) -> Mapping[str, float]:
    """Largest magnitude of each tensor over the samples, by name.

    Args:
        percentile: With `Method.PERCENTILE`, the share of values (in percent) that must fit.
        progress: Told how many samples are done.
    """
    limits = dict.fromkeys(model.names, 0.0)
    done = 0
    for values in model.run(samples):
        for name, array in values.items():
            limits[name] = max(limits[name], float(np.abs(array).max()))
        done += len(next(iter(values.values())))
        progress(done)
    if method is Method.PERCENTILE:
        return _find_percentiles(model, samples, limits, percentile)
    return limits


def _find_percentiles(
    model: FloatModel, samples: Samples, limits: Mapping[str, float], percentile: float
) -> dict[str, float]:
    counts = {name: np.zeros(_BINS, np.int64) for name in limits}
    for values in model.run(samples):
        for name, array in values.items():
            span = (0.0, limits[name] or 1.0)
            counts[name] += np.histogram(np.abs(array), _BINS, span)[0]
    return {name: _cut(counts[name], limits[name], percentile) for name in limits}


def _cut(counts: NDArray[np.int64], limit: float, percentile: float) -> float:
    shares = np.cumsum(counts) / counts.sum()
    return limit * float(np.searchsorted(shares, percentile / 100) + 1) / _BINS
