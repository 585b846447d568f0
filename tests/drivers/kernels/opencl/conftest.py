"""A processor as an OpenCL device: PoCL's, which tests/system_packages.sh installs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.errors import DriverMissing
from drivers.kernels.opencl.devices import OpenClDevice, list_devices
from drivers.kernels.opencl.search import OpenClSearch


@pytest.fixture(scope="session")
def processor() -> OpenClDevice:
    try:
        found = [device for device in list_devices() if device.kind == "cpu"]
    except DriverMissing as error:
        pytest.skip(f"not run: {error}; install pocl-opencl-icd")
    if not found:
        pytest.skip("not run: OpenCL has no processor; install pocl-opencl-icd")
    return found[0]


@pytest.fixture
def search(processor: OpenClDevice) -> Iterator[OpenClSearch]:
    opened = OpenClSearch(processor)
    yield opened
    opened.close()
