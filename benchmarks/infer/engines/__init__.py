"""Engines that are compared, each in a file. ``all_engines`` is the registry."""

from __future__ import annotations

from benchmarks.infer.engines.base import Engine, Runner
from benchmarks.infer.engines.cvm_runtime import CvmRuntime
from benchmarks.infer.engines.onnxruntime_peer import OnnxRuntimeFloat, OnnxRuntimeInt8
from benchmarks.infer.engines.openvino_peer import OpenVino
from benchmarks.infer.engines.ours import Ours
from benchmarks.infer.engines.torch_peer import TorchInt8

#: The engines that ours is to be faster than at int8.
INT8_PEERS = ("onnxruntime", "openvino", "torch")


def all_engines() -> tuple[Engine, ...]:
    return (
        Ours(),
        OnnxRuntimeInt8(),
        OpenVino(),
        TorchInt8(),
        OnnxRuntimeFloat(),
        CvmRuntime(),
    )


__all__ = ["INT8_PEERS", "Engine", "Runner", "all_engines"]
