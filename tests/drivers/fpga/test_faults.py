"""What goes wrong on a board, as its user sees it: typed errors in time, and nothing left over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from drivers.base import Capability
from drivers.errors import (
    BadArgument,
    DeadlineExceeded,
    DeviceLost,
    DriverError,
    NotSupported,
    WrongAnswer,
)
from drivers.fpga.board import Board, Environment, Place
from drivers.fpga.core_engine import CoreEngine
from drivers.fpga.driver import Driver
from drivers.fpga.session import FpgaRuns
from drivers.host_program import HostProgram
from drivers.selftest import infer_program, prove, spread
from drivers.worker import open_session

Fault = Callable[[str], None]
PROGRAM = infer_program()
DATA = spread(PROGRAM.input_shape, 251, 127).astype("<i4").tobytes()


@pytest.fixture
def fault(two_boards: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Gives the first board a fault; the empty one takes it away."""
    monkeypatch.setenv("FARMCTL_FPGA_FAULTS", str(tmp_path))

    def give(name: str) -> None:
        (tmp_path / "0").write_text(name)

    return give


def bridges() -> list[psutil.Process]:
    """Bridges that live, ours and our workers'."""
    mine = psutil.Process().children(recursive=True)
    return [p for p in mine if _lives(p) and "bridge.py" in " ".join(_command(p))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_a_core_that_hangs_is_lost(simulated: Place, fault: Fault) -> None:
    session = FpgaRuns(CoreEngine(simulated, layer_seconds=0.3))
    session.load("model", PROGRAM)
    fault("hang")
    with pytest.raises(DeviceLost, match=r"within 0\.3 s"):
        session.run("model", DATA)
    with pytest.raises(DeviceLost, match="closed"):
        session.run("model", DATA)
    session.close()
    assert bridges() == []


def test_a_wrong_result_is_never_handed_on(simulated: Place, fault: Fault) -> None:
    session = FpgaRuns(CoreEngine(simulated), check_ratio=1.0)
    session.load("model", PROGRAM)
    assert session.run("model", DATA)
    fault("wrong")
    with pytest.raises(WrongAnswer, match="conv2d"):
        session.run("model", DATA)
    session.close()


def test_a_models_first_run_is_checked_whatever_the_ratio(simulated: Place, fault: Fault) -> None:
    session = FpgaRuns(CoreEngine(simulated), check_ratio=0.0)
    session.load("model", PROGRAM)
    fault("wrong")
    with pytest.raises(WrongAnswer):
        session.run("model", DATA)
    session.close()


def test_a_bus_that_fails_is_told(simulated: Place, fault: Fault) -> None:
    session = FpgaRuns(CoreEngine(simulated))
    session.load("model", PROGRAM)
    fault("bus_error")
    with pytest.raises(DriverError, match=r"fault: .*read"):
        session.run("model", DATA)
    fault("")
    assert session.run("model", DATA) == HostProgram(PROGRAM, 1 << 28).run(DATA)
    session.close()


def test_a_wrong_known_answer_is_refused(fault: Fault) -> None:
    fault("wrong")
    test = prove("fpga", "fpga:0", Capability.INFER)
    assert not test.passed
    assert "int8 layer sums to" in test.detail
    assert prove("fpga", "fpga:1", Capability.INFER).passed, "the other board is not disturbed"


def test_a_call_that_never_returns_ends_with_its_worker(fault: Fault) -> None:
    session = open_session("fpga", "fpga:0", Capability.INFER, deadline_seconds=0.5)
    session.load("model", PROGRAM)
    fault("sleep")
    with pytest.raises(DeadlineExceeded):
        session.run("model", DATA)
    assert_ends(bridges())


def test_a_board_that_is_gone_is_lost(simulated: Place, fault: Fault) -> None:
    fault("gone")
    with pytest.raises(DeviceLost, match="does not answer"):
        FpgaRuns(CoreEngine(simulated))
    assert bridges() == []


@pytest.mark.parametrize("times", [3, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.timeout(3600)
def test_a_killed_worker_leaves_nothing(two_boards: None, times: int) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(times):
        session = open_session("fpga", "fpga:0", Capability.INFER)
        session.load("model", PROGRAM)
        left = bridges()
        assert left
        os.kill(session.pid, signal.SIGKILL)
        with pytest.raises(DeviceLost):
            session.run("model", DATA)
        assert_ends(left)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def assert_ends(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 20
    while any(map(_lives, processes)):
        assert time.monotonic() < deadline, processes
        time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_another_design_is_not_touched(simulated: Place) -> None:
    with pytest.raises(DeviceLost, match="nothing at"):
        Board(Place(simulated.environment, 0, address=0x4000_0000))


def test_an_environment_that_is_not_there() -> None:
    with pytest.raises(DriverError, match="cannot be run"):
        Board(Place(Environment("/nonexistent/python"), 0))


def test_options_and_capabilities_are_checked(two_boards: None) -> None:
    device = Driver().discover()[0]
    with pytest.raises(BadArgument, match="speed"):
        device.open(Capability.INFER, speed=2)
    with pytest.raises(NotSupported, match="cuckoo"):
        device.open(Capability.CUCKOO)


def test_an_input_beyond_eight_bits_is_the_hosts(simulated: Place) -> None:
    """A program may promise what its input does not keep; the result is the definition's."""
    session = FpgaRuns(CoreEngine(simulated))
    session.load("model", PROGRAM)
    large = (spread(PROGRAM.input_shape, 251, 127) * 3).astype("<i4").tobytes()
    assert session.run("model", large) == HostProgram(PROGRAM, 1 << 28).run(large)
    session.close()


def test_memory_is_given_back(simulated: Place) -> None:
    """More than the board has (256 MiB), a part at a time."""
    board = Board(simulated)
    for _ in range(5):
        buffers = [board.allocate(30 << 20) for _ in range(2)]
        for buffer in buffers:
            board.free(buffer)
    with pytest.raises(DeviceLost, match="bytes left"):
        board.allocate(300 << 20)
