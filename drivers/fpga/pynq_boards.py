"""Xilinx boards through PYNQ, which lives in a Python environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import DeadlineExceeded, DriverError, DriverMissing, NotSupported
from drivers.fpga.board import Environment, Place

PYTHON_VARIABLE = "FARMCTL_PYNQ_PYTHON"
OVERLAY_VARIABLE = "FARMCTL_FPGA_OVERLAY"
"""Path of the core's bitstream (beside it its ``.hwh``), or the address of its registers where
the design is on the board already, e.g. ``0x43c00000``."""
PROGRAM = Path(__file__).with_name("pynq_devices.py")
START_SECONDS = 60.0


@dataclass(frozen=True)
class Board:
    name: str
    tag: str
    pynq_version: str
    place: Place | None
    """Where the core is; None while nobody has said which overlay holds it."""
    through: str = "pynq"


def list_boards() -> list[Board]:
    """Raises `DriverMissing` when PYNQ is not set up, `DriverError` when it fails."""
    python = os.environ.get(PYTHON_VARIABLE)
    if not python:
        raise DriverMissing(f"PYNQ is not set up; {PYTHON_VARIABLE} names the Python that has it")
    return ask_boards(Environment(python), os.environ.get(OVERLAY_VARIABLE, ""))


def ask_boards(environment: Environment, overlay: str) -> list[Board]:
    """The boards that an environment's PYNQ sees. Raises as `list_boards` does."""
    try:
        answer = subprocess.run(
            [environment.python, str(PROGRAM)],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            env=environment.process_variables(),
        )
    except OSError as error:
        raise DriverMissing(
            f"{PYTHON_VARIABLE}={environment.python} cannot be run: {error.strerror}"
        ) from None
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(f"PYNQ did not list its boards in {START_SECONDS:.0f} s") from None
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise DriverError(f"PYNQ failed: {last}")
    return _parse(answer.stdout, environment, overlay)


def read_temperature(root: Path) -> float:
    """Celsius of the chip by its own converter (XADC), when this runs on the board itself."""
    for folder in sorted((root / "sys/bus/iio/devices").glob("iio:device*")):
        try:
            if (folder / "name").read_text().strip() != "xadc":
                continue
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


def _parse(text: str, environment: Environment, overlay: str) -> list[Board]:
    try:
        boards = json.loads(text.strip().splitlines()[-1])
        return [
            Board(b["name"], b["tag"], b["version"], _place(environment, index, overlay))
            for index, b in enumerate(boards)
        ]
    except (IndexError, KeyError, TypeError, ValueError):
        raise DriverError("PYNQ's list of boards is malformed; is its version 3 or 4?") from None


def _place(environment: Environment, index: int, overlay: str) -> Place | None:
    if not overlay:
        return None
    try:
        return Place(environment, index, address=int(overlay, 16))
    except ValueError:
        return Place(environment, index, bitstream=overlay)
