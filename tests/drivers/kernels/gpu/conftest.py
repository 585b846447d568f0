"""The GPU kernels, compiled for the host once for all tests."""

from __future__ import annotations

import ctypes

import host_kernels
import pytest


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return host_kernels.build(tmp_path_factory.mktemp("kernels"))
