"""The machine's own processors, and GPUs behind a fake libnvidia-ml below the real pynvml."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest
from fake_nvml import Machine, create_machine

from drivers import registry
from drivers.base import CuckooJob, Device
from farmctl.tuning.measuring import Effort

ROOT = Path(__file__).parents[3]
JOB = CuckooJob(bytes(32), 12)
BRIEF = Effort(slices=2, slice_seconds=0.05)


@pytest.fixture
def processors() -> Device:
    return registry.find_device("cpu", "cpu:0")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("nvml") / "libfake-nvidia-ml.so"
    source = ROOT / "tests" / "drivers" / "cuda" / "fake_nvml.c"
    flags = ["-shared", "-fPIC", "-fvisibility=hidden", "-O1"]
    subprocess.run(["cc", *flags, "-o", str(path), str(source)], check=True)
    return ctypes.CDLL(str(path))


@pytest.fixture
def machine(
    library: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """An RTX 3090 of 100 to 350 W and an H100."""
    monkeypatch.setenv("FAKE_NVML_STATE", "")
    monkeypatch.setattr(pynvml, "nvmlLib", library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    yield create_machine(tmp_path / "machine")
    library.nvmlShutdown()
