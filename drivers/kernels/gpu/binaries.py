"""Machine code of the kernels, by architecture and source: shipped, or compiled once and kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from drivers.kernels.gpu.nvrtc import compile_cuda
from drivers.kernels.gpu.source import CUCKOO, Kernels, kernel_source, source_hash

SHIPPED = Path(__file__).with_name("binaries")


def find_cubin(architecture: int | str, kernels: Kernels = CUCKOO) -> Path:
    """A cubin of the present source, compiled now where there is none yet. ``architecture`` is
    90 for sm_90; sm_90a, with Hopper's own instructions, is "90a".

    Raises `DriverMissing` when it has to be compiled and NVRTC is not installed.
    """
    name = f"{kernels.name}-sm_{architecture}-{source_hash(kernels)}.cubin"
    for folder in (SHIPPED, cache_folder()):
        if (folder / name).is_file():
            return folder / name
    return _keep(cache_folder() / name, compile_cuda(kernel_source(kernels), architecture).code)


def cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "farmctl" / "kernels"


def _keep(path: Path, code: bytes) -> Path:
    """Write it whole or not at all: several sessions may compile the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(code)
    Path(file.name).replace(path)
    return path
