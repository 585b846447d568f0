"""The stand of the family that a test is about."""

from __future__ import annotations

import pytest
from nvml_fixtures import library, machine
from sticks import firmware

from tests.drivers.contract.stands import (
    Stand,
    cpu_stand,
    cuda_stand,
    fpga_stand,
    opencl_stand,
    rocm_stand,
    usbstick_stand,
)

__all__ = [
    "cpu_stand",
    "cuda_stand",
    "firmware",
    "fpga_stand",
    "library",
    "machine",
    "opencl_stand",
    "rocm_stand",
    "usbstick_stand",
]


@pytest.fixture
def stand(request: pytest.FixtureRequest) -> Stand:
    made: Stand = request.getfixturevalue(f"{request.param}_stand")
    return made
