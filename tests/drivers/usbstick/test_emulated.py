"""The firmware built for a Cortex-M3, on QEMU's model of Arm's MPS2 board."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from sticks import Plugged, build, emulated

from drivers.base import Capability
from drivers.selftest import check, infer_program, spread
from drivers.usbstick.link import StickLink
from drivers.usbstick.session import HostProgram, StickRuns, StickSession, StickVerifier
from drivers.usbstick.vitals import VitalsFile

TOOLS = ("qemu-system-arm", "clang-19", "ld.lld-19")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("mps2", tmp_path_factory.mktemp("mps2"))


@pytest.fixture
def board(program: Path) -> Iterator[Plugged]:
    with emulated(program) as board:
        yield board


def test_it_says_hello(board: Plugged) -> None:
    with StickLink(board.port) as link:
        hello = link.hello()
        assert (hello.serial, hello.firmware) == ("mps2-385", "1.0")
        first, second = link.vitals(), link.vitals()
    assert first.celsius is None and first.volts is None
    assert second.uptime_seconds >= first.uptime_seconds > 0
    assert second.frames == first.frames + 1


def test_the_known_answers(board: Plugged, tmp_path: Path) -> None:
    session = StickSession(board.port, VitalsFile("board", tmp_path))
    try:
        assert "to the bit" in check(StickRuns(session), Capability.INFER)
        assert "main network" in check(StickVerifier(session), Capability.VERIFY_CUCKOO)
    finally:
        session.close()


def test_many_runs_equal_the_reference(board: Plugged, tmp_path: Path) -> None:
    """Full frames in both directions, one after another: nothing is lost on the UART."""
    program = infer_program()
    host = HostProgram(program, 64 << 20)
    session = StickSession(board.port, VitalsFile("board", tmp_path))
    try:
        runs = StickRuns(session, check_ratio=0)
        runs.load("net", program)
        for offset in range(100):
            data = spread(program.input_shape, 251, offset).astype("<i4").tobytes()
            assert runs.run("net", data) == host.run(data)
        assert session._link.vitals().bad_frames == 0
    finally:
        session.close()
        host.close()


def test_it_comes_back_from_garbage(board: Plugged) -> None:
    noise = random.Random(4)
    with serial.Serial(board.port, timeout=0, write_timeout=20) as raw:
        for _ in range(50):
            raw.write(noise.randbytes(noise.randrange(1, 2000)))
            raw.read(100_000)
    with StickLink(board.port) as link:
        assert link.hello().serial == "mps2-385"
        assert link.vitals().bad_frames > 10
