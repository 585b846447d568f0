"""The core, simulated: compiled once per version of its sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.errors import DriverMissing
from drivers.fpga.board import Place
from drivers.fpga.core_engine import CoreEngine
from drivers.fpga.session import FpgaRuns
from drivers.fpga.simulated_boards import COUNT_VARIABLE, OVERLAY, simulated_environment


@pytest.fixture(scope="session")
def simulated() -> Place:
    """The first of two simulated boards."""
    try:
        return Place(simulated_environment(2), 0, bitstream=OVERLAY)
    except DriverMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def two_boards(simulated: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two simulated boards for drivers of this process and its workers, which another farm on
    this machine does not hold."""
    monkeypatch.setenv(COUNT_VARIABLE, "2")
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture(scope="module")
def runs(simulated: Place) -> Iterator[FpgaRuns]:
    """A session in this process that the host checks layer by layer."""
    session = FpgaRuns(CoreEngine(simulated), check_ratio=1.0)
    yield session
    session.close()
