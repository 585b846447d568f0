"""The GPUs' inference kernels compiled for the host: each family of instructions as a backend."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
from pathlib import Path

from benchmarks.zoo.files import keep, root
from drivers.kernels.gpu import infer
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu
from tests.support import host_infer

FAMILY = "gpu-host"
_UNITS, _MEMORY_BYTES = 4, 1 << 30


def find_targets() -> list[str]:
    """``gpu-host:dot`` and the like, where there is a compiler."""
    return [f"{FAMILY}:{name}" for name in host_infer.TARGETS] if shutil.which("g++") else []


def open_target(device: str) -> GpuInfer:
    name = device.partition(":")[2]
    path = root() / "kernels" / _digest() / f"libinfer_{name}.so"
    library = ctypes.CDLL(str(keep(path, lambda made: _build(made.parent, name))))
    gpu = InferGpu(host_infer.TARGETS[name][1], _UNITS, _MEMORY_BYTES)
    return GpuInfer(lambda: host_infer.HostQueue(library), gpu, lanes=1)


def _build(folder: Path, name: str) -> None:
    host_infer.build(folder, name)


def _digest() -> str:
    found = hashlib.sha256()
    for path in sorted(Path(infer.__file__).parents[1].rglob("*")):
        if path.suffix in (".cu", ".cuh", ".cpp", ".hpp", ".h"):
            found.update(path.read_bytes())
    return found.hexdigest()[:12]
