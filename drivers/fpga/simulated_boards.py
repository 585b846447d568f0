"""Boards that are not there: the core's Verilog, simulated behind the interface of PYNQ."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from drivers.errors import DriverMissing
from drivers.fpga.board import Environment
from drivers.fpga.pynq_boards import Board, ask_boards
from drivers.fpga.simulation.build import build_library

COUNT_VARIABLE = "FARMCTL_FPGA_SIMULATION"
LIBRARY_VARIABLE = "FARMCTL_FPGA_LIBRARY"
#: Where the stand-in for the package ``pynq`` lies.
STAND_IN = Path(__file__).with_name("simulation")
#: What the simulated boards list as overlay; there is no bitstream to load.
OVERLAY = "farmcore.bit"


def list_boards() -> list[Board]:
    """As many as the variable asks for; the core is compiled at the first call. Raises
    `DriverMissing` when none is asked for or no simulator is installed."""
    count = os.environ.get(COUNT_VARIABLE, "0")
    if not count.isdigit() or not int(count):
        raise DriverMissing(f"simulation: {COUNT_VARIABLE} asks for no boards")
    boards = ask_boards(simulated_environment(int(count)), OVERLAY)
    return [replace(board, through="simulation") for board in boards]


def simulated_environment(count: int) -> Environment:
    """This very Python, with the stand-in before any real PYNQ. Raises `DriverMissing` where the
    core cannot be compiled."""
    variables = {
        "PYTHONPATH": str(STAND_IN),
        LIBRARY_VARIABLE: str(build_library()),
        COUNT_VARIABLE: str(count),
    }
    return Environment(sys.executable, variables)
