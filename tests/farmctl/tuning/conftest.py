"""The machine's own processors, and GPUs behind a fake libnvidia-ml below the real pynvml."""

from __future__ import annotations

import pytest
from nvml_fixtures import library, machine

from drivers import registry
from drivers.base import CuckooJob, Device
from farmctl.tuning.measuring import Effort

__all__ = ["library", "machine"]

JOB = CuckooJob(bytes(32), 12)
BRIEF = Effort(slices=2, slice_seconds=0.05)


@pytest.fixture
def processors() -> Device:
    return registry.find_device("cpu", "cpu:0")
