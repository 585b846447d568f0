"""The core, simulated: compiled once per version of its sources."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from drivers.errors import DriverMissing
from drivers.fpga.board import Place
from drivers.fpga.session import FpgaRuns
from drivers.fpga.simulated_boards import COUNT_VARIABLE, OVERLAY, environment


@pytest.fixture(scope="session")
def simulated() -> Iterator[Place]:
    """The first of two simulated boards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COUNT_VARIABLE, "2")
        try:
            yield Place(environment(), 0, bitstream=OVERLAY)
        except DriverMissing as missing:
            pytest.skip(str(missing))


@pytest.fixture
def two_boards(simulated: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two boards for drivers of this process and its workers."""
    assert os.path.isfile(simulated.environment.variables["FARMCTL_FPGA_LIBRARY"])
    monkeypatch.setenv(COUNT_VARIABLE, "2")


@pytest.fixture(scope="module")
def runs(simulated: Place) -> Iterator[FpgaRuns]:
    """A session in this process that the host checks layer by layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COUNT_VARIABLE, "2")
        session = FpgaRuns(simulated, check_ratio=1.0)
    yield session
    session.close()
