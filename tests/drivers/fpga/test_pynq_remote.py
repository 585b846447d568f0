"""The same driver with the real PYNQ, over PYNQ.remote, to the simulated core."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.base import Capability
from drivers.fpga.board import Place
from drivers.fpga.driver import Driver
from drivers.fpga.pynq_boards import OVERLAY_VARIABLE, PYTHON_VARIABLE
from drivers.fpga.simulated_boards import STAND_IN
from drivers.host_program import HostProgram
from drivers.selftest import infer_program, prove, spread
from drivers.worker import open_session

ROOT = Path(__file__).parents[3]
SERVER = ROOT / "tests/support/pynq_remote_server.py"
#: PYNQ.remote knows one port; an address of our own on the loopback keeps it ours.
ADDRESS = "127.79.67.1"
PORT = 7967

pytestmark = pytest.mark.slow


def pynq_python() -> str:
    """Of PYNQ's own environment, which `make test-slow` sets up."""
    python = os.environ.get(PYTHON_VARIABLE) or str(ROOT / ".venv-pynq/bin/python")
    if not Path(python).is_file():
        pytest.skip(f"PYNQ is not set up; `make .make/pynq` does it, or {PYTHON_VARIABLE} names it")
    return python


@pytest.fixture
def server(simulated: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    python = pynq_python()
    process = subprocess.Popen(
        [python, str(SERVER), f"{ADDRESS}:{PORT}", str(STAND_IN / "pynq/__init__.py")],
        env={**os.environ, **simulated.environment.variables, "PYTHONPATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "listens\n"
    monkeypatch.setenv(PYTHON_VARIABLE, python)
    monkeypatch.setenv("PYNQ_REMOTE_DEVICES", ADDRESS)
    monkeypatch.setenv(OVERLAY_VARIABLE, "0x43c00000")
    yield process
    process.stdin.close()
    process.wait(30)


def test_a_board_over_the_network_infers(server: subprocess.Popen[str]) -> None:
    (device,) = Driver().discover()
    assert device.info.model == "Pynq-Z2"
    assert device.info.driver_version == "pynq 4.0.0"
    assert device.info.capabilities == {Capability.INFER}
    test = prove("fpga", "fpga:0", Capability.INFER)
    assert test.passed, test.detail


def test_a_model_over_the_network_is_exact(server: subprocess.Popen[str]) -> None:
    program = infer_program()
    with open_session("fpga", "fpga:0", Capability.INFER, check_ratio=0.0) as session:
        session.load("model", program)
        for offset in range(3):
            data = spread(program.input_shape, 251, 127 - offset).astype("<i4").tobytes()
            assert session.run("model", data) == HostProgram(program, 1 << 28).run(data)
    assert server.stdout
    counts = map(str.strip, server.stdout)
    assert "buffers 6" in counts, "two layers of three buffers each"
    # The worker was killed; its bridge gave the board's memory back all the same.
    assert "buffers 0" in counts
