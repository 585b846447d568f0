"""Xilinx boards through PYNQ, which lives in a Python environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import DeadlineExceeded, DriverError, DriverMissing, NotSupported

PYTHON_VARIABLE = "FARMCTL_PYNQ_PYTHON"
PROGRAM = Path(__file__).with_name("pynq_devices.py")
START_SECONDS = 60.0


@dataclass(frozen=True)
class Board:
    name: str
    tag: str
    pynq_version: str


def list_boards() -> list[Board]:
    """Raises `DriverMissing` when PYNQ is not set up, `DriverError` when it fails."""
    python = os.environ.get(PYTHON_VARIABLE)
    if not python:
        raise DriverMissing(f"PYNQ is not set up; {PYTHON_VARIABLE} names the Python that has it")
    try:
        answer = subprocess.run(
            [python, str(PROGRAM)], capture_output=True, text=True, timeout=START_SECONDS
        )
    except OSError as error:
        raise DriverMissing(f"{PYTHON_VARIABLE}={python} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(f"PYNQ did not list its boards in {START_SECONDS:.0f} s") from None
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise DriverError(f"PYNQ failed: {last}")
    return _parse(answer.stdout)


def read_temperature(root: Path) -> float:
    """Celsius of the chip by its own converter (XADC), when this runs on the board itself."""
    for folder in sorted((root / "sys/bus/iio/devices").glob("iio:device*")):
        try:
            parts = (folder / f"in_temp0_{name}" for name in ("raw", "offset", "scale"))
            raw, offset, scale = (float(part.read_text()) for part in parts)
        except (OSError, ValueError):
            continue
        return (raw + offset) * scale / 1e3
    raise NotSupported("no XADC here; it is read on the board itself")


def has_local_fpga(root: Path) -> bool:
    """Whether the kernel manages a Xilinx FPGA of this very machine."""
    names = (root / "sys/class/fpga_manager").glob("*/name")
    return any("xilinx" in path.read_text().lower() for path in names)


def _parse(text: str) -> list[Board]:
    try:
        boards = json.loads(text.strip().splitlines()[-1])
        return [Board(b["name"], b["tag"], b["version"]) for b in boards]
    except (IndexError, KeyError, TypeError, ValueError):
        raise DriverError("PYNQ's list of boards is malformed; is its version 3 or 4?") from None
