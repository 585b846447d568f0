"""The peers' own int8 form of a network: onnxruntime's static quantisation, one scale a channel."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.files import keep, onnx_file, peer_file, samples


class Kind(StrEnum):
    """Activations and weights. Which is faster depends on the peer and the processor."""

    U8S8 = "u8s8"
    S8S8 = "s8s8"
    """Symmetric, without zero points."""


def qdq_file(net: Net, kind: Kind) -> Path:
    """ONNX with QuantizeLinear and DequantizeLinear around each operator."""
    path = peer_file(net, f"{kind}.onnx")
    return keep(path, lambda made: quantise(onnx_file(net), made, samples(net), kind))


class Feed:
    """Gives inputs one by one, by the name of the network's input."""

    def __init__(self, inputs: NDArray[np.float32], name: str) -> None:
        self._left, self._name = iter(inputs[:, None]), name

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        found = next(self._left, None)
        return None if found is None else {self._name: found}


def quantise(
    source: Path, path: Path, inputs: NDArray[np.float32], kind: Kind, name: str = "image"
) -> None:
    """Write the quantised form of an ONNX file.

    Args:
        inputs: What to calibrate on, (n, …); of the network's input ``name``.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    types = quantization.QuantType
    options: dict[str, Any] = {"WeightSymmetric": True, "ActivationSymmetric": kind is Kind.S8S8}
    with _quiet(), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            Feed(inputs, name),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=types.QUInt8 if kind is Kind.U8S8 else types.QInt8,
            weight_type=types.QInt8,
            extra_options=options,
        )


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
