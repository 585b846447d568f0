"""Fixtures to import: the real pynvml over a fake libnvidia-ml."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest
from fake_nvml import Machine, create_machine

SOURCE = Path(__file__).parents[1] / "drivers" / "cuda" / "fake_nvml.c"


def build(path: Path, *options: str) -> ctypes.CDLL:
    flags = ["-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Werror", "-O1", *options]
    subprocess.run(["cc", *flags, "-o", str(path), str(SOURCE)], check=True)
    return ctypes.CDLL(str(path))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("nvml") / "libfake-nvidia-ml.so")


@pytest.fixture
def machine(
    library: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """An RTX 3090 of 100 to 350 W (two fans, no ECC) and an H100 (passive, ECC)."""
    monkeypatch.setenv("FAKE_NVML_STATE", "")
    monkeypatch.setattr(pynvml, "nvmlLib", library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    yield create_machine(tmp_path / "machine")
    library.nvmlShutdown()
