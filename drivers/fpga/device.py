"""A board as a device: what it is, how warm, and its session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drivers.base import (
    Capability,
    DeviceInfo,
    Health,
    HealthStatus,
    Session,
    Telemetry,
    read_telemetry,
)
from drivers.controls import Controlled
from drivers.errors import BadArgument, NotSupported
from drivers.fpga import opencl_boards, pynq_boards
from drivers.fpga.core_engine import CoreEngine
from drivers.fpga.core_registers import LAYER_SECONDS
from drivers.fpga.engine import Engine
from drivers.fpga.hold import Hold
from drivers.fpga.opencl_engine import OpenClEngine
from drivers.fpga.session import FpgaRuns

HOT_CELSIUS = 85.0
SESSION_OPTIONS = frozenset({"check_ratio", "layer_seconds", "memory_limit_bytes"})

Board = pynq_boards.Board | opencl_boards.Board


class FpgaDevice(Controlled):
    def __init__(self, index: int, board: Board, root: Path) -> None:
        self.info = _describe(index, board)
        self._board = board
        self._root = root

    def snapshot(self) -> Telemetry:
        readers = {"temperature_celsius": self._read_temperature}
        otherwise = "the design on an FPGA would have to tell this; ours does not"
        return read_telemetry(self.info.id, readers, otherwise)

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
        ``memory_limit_bytes`` of the host for one model. Raises `DeviceBusy` while another
        session holds the board."""
        if capability not in self.info.capabilities:
            reason = self.info.details.get("infer", "")
            told = f"; {reason}" if reason and capability == Capability.INFER else ""
            raise NotSupported(f"{self.info.id} has no capability {capability}{told}")
        if unknown := options.keys() - SESSION_OPTIONS:
            raise BadArgument(f"{capability} has no options {', '.join(sorted(unknown))}")
        layer_seconds = options.pop("layer_seconds", LAYER_SECONDS)
        hold = Hold(self.info.hardware_id)
        try:
            return FpgaRuns(_open_engine(self._board, layer_seconds), then=hold.release, **options)
        except BaseException:
            hold.release()
            raise

    def _read_temperature(self) -> float:
        through = self.info.details["through"]
        if through != "pynq":
            raise NotSupported(f"no temperature is told through {through}")
        return pynq_boards.read_temperature(self._root)


def _open_engine(board: Board, layer_seconds: float) -> Engine:
    if isinstance(board, pynq_boards.Board) and board.place:
        return CoreEngine(board.place, layer_seconds)
    if isinstance(board, opencl_boards.Board) and board.binary:
        return OpenClEngine(board, board.binary)
    raise NotSupported(f"{board.name} has no design to compute with")


def _describe(index: int, board: Board) -> DeviceInfo:
    if isinstance(board, pynq_boards.Board):
        return _describe_pynq(index, board)
    return _describe_opencl(index, board)


def _describe_pynq(index: int, board: pynq_boards.Board) -> DeviceInfo:
    details = {"through": board.through, "tag": board.tag}
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
    details = {"through": "opencl", "platform": board.platform}
    if board.binary is None:
        details["infer"] = f"{opencl_boards.BINARY_VARIABLE} names no program for it"
    else:
        details["program"] = board.binary.name
    return DeviceInfo(
        id=f"fpga:{index}",
        hardware_id=f"opencl-{board.index}-{board.name}",
        family="fpga",
        model=board.name,
        capabilities=frozenset({Capability.INFER} if board.binary else ()),
        memory_bytes=board.memory_bytes,
        driver_version=board.driver_version,
        details=details,
    )
