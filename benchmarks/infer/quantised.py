"""The peers' own int8 form of a net: onnxruntime's static quantisation, one scale a channel."""

from __future__ import annotations

import functools
import tempfile
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
    return keep(peer_file(net, f"{kind}.onnx"), functools.partial(_quantise, net, kind))


class Images:
    """Feeds the calibration's images one by one."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._left = list(images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return {"image": self._left.pop()[np.newaxis]} if self._left else None


def _quantise(net: Net, kind: Kind, path: Path) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    types = quantization.QuantType
    options: dict[str, Any] = {"WeightSymmetric": True, "ActivationSymmetric": kind is Kind.S8S8}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(onnx_file(net), prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            Images(samples(net)),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=types.QUInt8 if kind is Kind.U8S8 else types.QInt8,
            weight_type=types.QInt8,
            extra_options=options,
        )
