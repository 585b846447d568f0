"""Family ``fpga``: Xilinx boards through PYNQ, Altera and Intel boards through OpenCL, and the
core's own simulation where the variable `simulated_boards.COUNT_VARIABLE` asks for it.

A board with the overlay of our core infers; without one it is only named.
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
from drivers.errors import BadArgument, DriverError, DriverMissing, NotSupported
from drivers.fpga import opencl_boards, pynq_boards, simulated_boards
from drivers.fpga.board import Place
from drivers.fpga.session import FpgaRuns

HOT_CELSIUS = 85.0
#: Asking PYNQ starts a Python of its own, which is slow; boards seldom come and go.
REFRESH_SECONDS = 60.0
SESSION_OPTIONS = frozenset({"check_ratio", "layer_seconds", "memory_limit_bytes"})

Board = pynq_boards.Board | opencl_boards.Board
ROADS: dict[str, Callable[[], Sequence[Board]]] = {
    "PYNQ": pynq_boards.list_boards,
    "simulation": simulated_boards.list_boards,
    "OpenCL": opencl_boards.list_boards,
}


class FpgaDevice(Controlled):
    def __init__(self, info: DeviceInfo, root: Path, place: Place | None) -> None:
        self.info = info
        self._root = root
        self._place = place

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
        """Options for INFER: ``check_ratio``, the share of layers that the host computes again
        (1/32), ``layer_seconds``, the longest that one may take on the core (20), and
        ``memory_limit_bytes`` of the host for one model."""
        if capability not in self.info.capabilities or self._place is None:
            raise NotSupported(f"{self.info.id} has no capability {capability}{self._why_not()}")
        if unknown := options.keys() - SESSION_OPTIONS:
            raise BadArgument(f"{capability} has no options {', '.join(sorted(unknown))}")
        return FpgaRuns(self._place, **options)

    def _why_not(self) -> str:
        reason = self.info.details.get("infer", "")
        return f"; {reason}" if reason else ""

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
        """Boards of all roads, PYNQ's first. A road that fails has no boards."""
        boards = [board for road in ROADS for board in self._list_or_none(road)]
        return [self._device(index, board) for index, board in enumerate(boards)]

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

    def _device(self, index: int, board: Board) -> FpgaDevice:
        if isinstance(board, pynq_boards.Board):
            info = _describe_pynq(index, board)
            return FpgaDevice(info, self._root, board.place)
        return FpgaDevice(_describe_opencl(index, board), self._root, None)


def _describe_pynq(index: int, board: pynq_boards.Board) -> DeviceInfo:
    details = {"through": "pynq", "tag": board.tag}
    if board.place is None:
        details["infer"] = f"{pynq_boards.OVERLAY_VARIABLE} names no overlay with the core"
    elif board.place.bitstream:
        details["overlay"] = Path(board.place.bitstream).name
    return DeviceInfo(
        id=f"fpga:{index}",
        hardware_id=f"pynq-{board.tag or board.name}",
        family="fpga",
        model=board.name,
        capabilities=frozenset({Capability.INFER} if board.place else ()),
        driver_version=f"pynq {board.pynq_version}",
        details=details,
    )


def _describe_opencl(index: int, board: opencl_boards.Board) -> DeviceInfo:
    return DeviceInfo(
        id=f"fpga:{index}",
        hardware_id=f"opencl-{index}-{board.name}",
        family="fpga",
        model=board.name,
        capabilities=frozenset(),
        memory_bytes=board.memory_bytes,
        driver_version=board.driver_version,
        details={"through": "opencl", "platform": board.platform},
    )
