"""Engines that are compared, each in a file. ``all_engines`` is the registry."""

from __future__ import annotations

from benchmarks.infer.engines.base import Engine, Runner
from benchmarks.infer.engines.cvm_runtime import CvmRuntime
from benchmarks.infer.engines.onnxruntime_peer import OnnxRuntimeFloat, OnnxRuntimeInt8
from benchmarks.infer.engines.opencl import OPENCL_ENGINE, OpenCl
from benchmarks.infer.engines.openvino_peer import OpenVino
from benchmarks.infer.engines.ours import Ours
from benchmarks.infer.engines.torch_peer import TorchInt8
from benchmarks.zoo.integers import EXTENSION, INT6, OFFICIAL

#: Engines that run an integer model and must equal its reference, by what they run.
INTEGER_ENGINES = {
    "farmctl": EXTENSION,
    "farmctl official form": OFFICIAL,
    "farmctl int6": INT6,
    "cvm-runtime": OFFICIAL,
    OPENCL_ENGINE: EXTENSION,
}
#: The engines that ours is to be faster than at int8.
INT8_PEERS = ("onnxruntime", "openvino", "torch")


def all_engines() -> tuple[Engine, ...]:
    return (
        Ours(),
        Ours("farmctl official form", OFFICIAL),
        OnnxRuntimeInt8(),
        OpenVino(),
        TorchInt8(),
        OnnxRuntimeFloat(),
        CvmRuntime(),
        OpenCl(),
    )


__all__ = ["INT8_PEERS", "INTEGER_ENGINES", "Engine", "Runner", "all_engines"]
