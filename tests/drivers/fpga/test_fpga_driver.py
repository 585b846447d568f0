"""The FPGA family: PYNQ in another Python, OpenCL platforms, and what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.base import Capability, HealthStatus, ProbeStatus
from drivers.errors import NotSupported
from drivers.fpga import opencl_boards
from drivers.fpga.driver import Driver
from drivers.fpga.pynq_boards import OVERLAY_VARIABLE, PYTHON_VARIABLE

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
    (converter / "name").write_text("xadc\n")
    for name, value in (("raw", 2650), ("offset", -2219), ("scale", 123.040771484)):
        (converter / f"in_temp0_{name}").write_text(f"{value}\n")
    board = Driver(tmp_path).discover()[0]
    values = board.snapshot().values
    assert values["temperature_celsius"] == pytest.approx(53.03, abs=0.01)
    (converter / "name").write_text("bme280\n")
    assert "XADC" in board.snapshot().missing["temperature_celsius"]


def test_a_board_without_an_overlay_is_only_named(pynq: Path, tmp_path: Path) -> None:
    board = Driver(tmp_path).discover()[0]
    assert board.info.capabilities == frozenset()
    with pytest.raises(NotSupported, match=OVERLAY_VARIABLE):
        board.open(Capability.INFER)


def test_a_hot_board_is_degraded(pynq: Path, tmp_path: Path) -> None:
    converter = tmp_path / "sys/bus/iio/devices/iio:device0"
    converter.mkdir(parents=True)
    readings = {"name": "xadc", "raw": 3000, "offset": -2219, "scale": 123.04}
    for name, value in readings.items():
        (converter / (name if name == "name" else f"in_temp0_{name}")).write_text(f"{value}\n")
    health = Driver(tmp_path).discover()[0].health()
    assert (health.status, health.codes) == (HealthStatus.DEGRADED, ("temperature_high",))


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


LIST_BOARDS = """
import json
from drivers.fpga.driver import Driver
driver = Driver()
boards = [(d.info.id, d.info.model, d.info.memory_bytes, d.info.details) for d in driver.discover()]
print(json.dumps([driver.probe().status, boards]))
"""


def test_finds_an_opencl_board(tmp_path: Path) -> None:
    """The real pyopencl and its loader, over a vendor's library of ours. In a process of its
    own: the loader looks for vendors only once."""
    library = tmp_path / "libfakeopencl.so"
    source = Path(__file__).with_name("fake_opencl.c")
    flags = ["-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Werror"]
    subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)
    (tmp_path / "vendors").mkdir()
    (tmp_path / "vendors/fake.icd").write_text(f"{library}\n")
    root = Path(__file__).parents[3]
    variables = {"OCL_ICD_VENDORS": str(tmp_path / "vendors"), "PYTHONPATH": str(root)}
    answer = subprocess.run(
        [sys.executable, "-c", LIST_BOARDS],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    status, boards = json.loads(answer.stdout)
    assert status == "pass"
    platform = "Intel(R) FPGA SDK for OpenCL(TM)"
    details = {
        "through": "opencl",
        "platform": platform,
        "infer": "FARMCTL_FPGA_AOCX names no program for it",
    }
    assert boards == [["fpga:0", "pac_a10 : PAC Arria 10 Platform", 8 << 30, details]]
