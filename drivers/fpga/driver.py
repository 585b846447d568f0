"""Family ``fpga``: Xilinx boards through PYNQ, Altera and Intel boards through OpenCL, and the
core's own simulation where the variable `simulated_boards.COUNT_VARIABLE` asks for it.

A board with the overlay of our core infers; without one it is only named.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from drivers.base import Probe, ProbeStatus
from drivers.errors import DriverError, DriverMissing
from drivers.fpga import opencl_boards, pynq_boards, simulated_boards
from drivers.fpga.device import Board, FpgaDevice

#: Asking PYNQ starts a Python of its own, which is slow; boards seldom come and go.
REFRESH_SECONDS = 60.0

ROADS: dict[str, Callable[[], Sequence[Board]]] = {
    "PYNQ": pynq_boards.list_boards,
    "simulation": simulated_boards.list_boards,
    "OpenCL": opencl_boards.list_boards,
}


class Driver:
    family = "fpga"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root`` holds the ``sys`` tree of a board that this runs on."""
        self._root = root
        self._listed: dict[str, tuple[float, Sequence[Board] | DriverError]] = {}

    def probe(self) -> Probe:
        """All roads are tried; the family is broken if one should work and does not."""
        reasons = []
        is_broken = pynq_boards.has_local_fpga(self._root)
        for road in ROADS:
            try:
                if self._list_boards(road):
                    return Probe(ProbeStatus.PASS)
                reasons.append(f"{road}: no board")
            except DriverMissing as error:
                reasons.append(str(error))
            except DriverError as error:
                reasons.append(str(error))
                is_broken = True
        status = ProbeStatus.BROKEN if is_broken else ProbeStatus.ABSENT
        return Probe(status, "; ".join(reasons))

    def discover(self) -> Sequence[FpgaDevice]:
        """Boards of all roads, PYNQ's first. A road that fails has no boards."""
        boards = [board for road in ROADS for board in self._list_or_none(road)]
        return [FpgaDevice(index, board, self._root) for index, board in enumerate(boards)]

    def watch(self, callback: Callable[[str], None]) -> None:
        """No events; the caller polls."""

    def _list_boards(self, road: str) -> Sequence[Board]:
        """What the road answered within `REFRESH_SECONDS`, its error included."""
        at, answer = self._listed.get(road, (-math.inf, ()))
        if time.monotonic() - at >= REFRESH_SECONDS:
            try:
                answer = ROADS[road]()
            except DriverError as error:
                answer = error
            self._listed[road] = (time.monotonic(), answer)
        if isinstance(answer, DriverError):
            raise answer
        return answer

    def _list_or_none(self, road: str) -> Sequence[Board]:
        try:
            return self._list_boards(road)
        except DriverError:
            return ()
