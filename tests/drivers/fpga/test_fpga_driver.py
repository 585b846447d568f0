"""The FPGA family: PYNQ in another Python, OpenCL platforms, and what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drivers.base import ProbeStatus
from drivers.fpga import opencl_boards
from drivers.fpga.driver import Driver
from drivers.fpga.pynq_boards import PYTHON_VARIABLE

BOARDS = """
class Board:
    def __init__(self, name, tag):
        self.name, self.tag = name, tag

class Device:
    devices = [Board("Pynq-Z2", "xilinx0")]
__version__ = "4.0.0"
"""


@pytest.fixture
def pynq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python environment with a ``pynq`` of ours; returns the file of that package."""
    package = tmp_path / "site/pynq/__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text(BOARDS)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/site exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))
    return package


def test_finds_a_pynq_board(pynq: Path, tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    assert driver.probe().status is ProbeStatus.PASS
    board = driver.discover()[0]
    assert board.info.id == "fpga:0"
    assert board.info.model == "Pynq-Z2"
    assert board.info.driver_version == "pynq 4.0.0"
    assert "XADC" in board.snapshot().missing["temperature_celsius"]


def test_reads_the_chip_on_the_board_itself(pynq: Path, tmp_path: Path) -> None:
    converter = tmp_path / "sys/bus/iio/devices/iio:device0"
    converter.mkdir(parents=True)
    for name, value in (("raw", 2650), ("offset", -2219), ("scale", 123.040771484)):
        (converter / f"in_temp0_{name}").write_text(f"{value}\n")
    board = Driver(tmp_path).discover()[0]
    values = board.snapshot().values
    assert values["temperature_celsius"] == pytest.approx(53.03, abs=0.01)


def test_pynq_that_fails_is_broken(pynq: Path, tmp_path: Path) -> None:
    pynq.write_text("raise RuntimeError('no bitstream')\n")
    probe = Driver(tmp_path).probe()
    assert probe.status is ProbeStatus.BROKEN
    assert "no bitstream" in probe.reason
    assert Driver(tmp_path).discover() == []


def test_python_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "nothing"))
    probe = Driver(tmp_path).probe()
    assert probe.status is ProbeStatus.ABSENT
    assert "cannot be run" in probe.reason


def test_nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    probe = Driver(tmp_path).probe()
    assert probe.status is ProbeStatus.ABSENT
    assert PYTHON_VARIABLE in probe.reason
    assert "OpenCL" in probe.reason


def test_board_without_pynq_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    manager = tmp_path / "sys/class/fpga_manager/fpga0"
    manager.mkdir(parents=True)
    (manager / "name").write_text("Xilinx Zynq FPGA Manager\n")
    assert Driver(tmp_path).probe().status is ProbeStatus.BROKEN


def test_pyopencl_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyopencl", None)
    with pytest.raises(opencl_boards.DriverMissing, match="not installed"):
        opencl_boards.list_boards()
