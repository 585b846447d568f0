"""Family ``fpga``: Xilinx boards through PYNQ, Altera and Intel boards through OpenCL.

They compute nothing here yet, so no capability is declared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from drivers.base import (
    Capability,
    DeviceInfo,
    Health,
    HealthStatus,
    Probe,
    ProbeStatus,
    Session,
    Telemetry,
    read_telemetry,
)
from drivers.controls import Controlled
from drivers.errors import DriverError, DriverMissing, NotSupported
from drivers.fpga import opencl_boards, pynq_boards

HOT_CELSIUS = 85.0
#: Asking PYNQ starts a Python of its own, which is slow; boards seldom come and go.
REFRESH_SECONDS = 60.0

Board = pynq_boards.Board | opencl_boards.Board
ROADS: dict[str, Callable[[], Sequence[Board]]] = {
    "PYNQ": pynq_boards.list_boards,
    "OpenCL": opencl_boards.list_boards,
}


class FpgaDevice(Controlled):
    def __init__(self, info: DeviceInfo, root: Path) -> None:
        self.info = info
        self._root = root

    def snapshot(self) -> Telemetry:
        readers = {"temperature_celsius": self._read_temperature}
        return read_telemetry(self.info.id, readers, "an FPGA tells this only through its design")

    def health(self) -> Health:
        try:
            celsius = self._read_temperature()
        except NotSupported as error:
            return Health(HealthStatus.OK, reason=str(error))
        if celsius >= HOT_CELSIUS:
            return Health(HealthStatus.DEGRADED, ("temperature_high",), f"{celsius:.0f} °C")
        return Health(HealthStatus.OK)

    def open(self, capability: Capability, **options: Any) -> Session:
        raise NotSupported(f"{self.info.id}: FPGAs do not compute {capability} yet")

    def _read_temperature(self) -> float:
        if self.info.details["through"] != "pynq":
            raise NotSupported("OpenCL tells no temperature")
        return pynq_boards.read_temperature(self._root)


class Driver:
    family = "fpga"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root`` holds the ``sys`` tree of a board that this runs on."""
        self._root = root
        self._listed: dict[str, tuple[float, Sequence[Board] | DriverError]] = {}

    def probe(self) -> Probe:
        """Both roads are tried; the family is broken if one should work and does not."""
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
        """Boards of both roads, PYNQ's first. A road that fails has no boards."""
        infos = [*self._pynq_infos(), *self._opencl_infos()]
        return [
            FpgaDevice(DeviceInfo(id=f"fpga:{index}", **info), self._root)
            for index, info in enumerate(infos)
        ]

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

    def _pynq_infos(self) -> list[dict[str, Any]]:
        boards = self._list_or_none("PYNQ")
        return [
            {
                "hardware_id": f"pynq-{board.tag or board.name}",
                "family": self.family,
                "model": board.name,
                "capabilities": frozenset(),
                "driver_version": f"pynq {board.pynq_version}",
                "details": {"through": "pynq", "tag": board.tag},
            }
            for board in boards
            if isinstance(board, pynq_boards.Board)
        ]

    def _opencl_infos(self) -> list[dict[str, Any]]:
        boards = self._list_or_none("OpenCL")
        return [
            {
                "hardware_id": f"opencl-{index}-{board.name}",
                "family": self.family,
                "model": board.name,
                "capabilities": frozenset(),
                "memory_bytes": board.memory_bytes,
                "driver_version": board.driver_version,
                "details": {"through": "opencl", "platform": board.platform},
            }
            for index, board in enumerate(boards)
            if isinstance(board, opencl_boards.Board)
        ]
