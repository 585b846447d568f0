"""Engines that are compared, each in a file. ``all_engines`` is the registry."""

from __future__ import annotations

from benchmarks.infer.engines import onnxruntime_peer, openvino_peer
from benchmarks.infer.engines.base import Engine, Runner
from benchmarks.infer.engines.cvm_runtime import CvmRuntime
from benchmarks.infer.engines.opencl import OPENCL_ENGINE, OpenCl
from benchmarks.infer.engines.ours import Ours
from benchmarks.infer.engines.torch_peer import TorchInt8
from benchmarks.zoo.integers import EXTENSION, INT6, OFFICIAL

OFFICIAL_ENGINE, INT6_ENGINE = "farmctl official form", "farmctl int6"
#: Engines that run an integer model and must equal its reference, by what they run.
INTEGER_ENGINES = {
    "farmctl": EXTENSION,
    OFFICIAL_ENGINE: OFFICIAL,
    INT6_ENGINE: INT6,
    "cvm-runtime": OFFICIAL,
    OPENCL_ENGINE: EXTENSION,
}
#: The engines that ours is to be faster than at int8.
INT8_PEERS = ("onnxruntime", "openvino", "torch")


def all_engines() -> tuple[Engine, ...]:
    return (
        Ours(),
        Ours(OFFICIAL_ENGINE, OFFICIAL),
        onnxruntime_peer.INT8,
        openvino_peer.INT8,
        TorchInt8(),
        onnxruntime_peer.OnnxRuntimeFloat(),
        CvmRuntime(),
        OpenCl(),
    )


__all__ = [
    "INT6_ENGINE",
    "INT8_PEERS",
    "INTEGER_ENGINES",
    "OFFICIAL_ENGINE",
    "Engine",
    "Runner",
    "all_engines",
]
