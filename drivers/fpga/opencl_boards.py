"""Altera and Intel FPGA boards through OpenCL."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.errors import DeviceLost, DriverError, DriverMissing

FPGA_PLATFORMS = ("fpga", "altera")
BINARY_VARIABLE = "FARMCTL_FPGA_AOCX"
"""Path of the program made from ``opencl/layer.cl`` for the board (docs/recipes/fpga-opencl.md)."""


@dataclass(frozen=True)
class Board:
    name: str
    platform: str
    driver_version: str
    memory_bytes: int
    index: int
    """Among all boards of all FPGA platforms."""
    binary: Path | None
    """None while nobody has named a program for it."""


def list_boards() -> list[Board]:
    """Raises `DriverMissing` with the reason when there is no OpenCL platform of an FPGA."""
    binary = os.environ.get(BINARY_VARIABLE)
    path = Path(binary) if binary else None
    return [_describe(device, index, path) for index, device in enumerate(_devices())]


def open_device(board: Board) -> Any:
    """pyopencl's device of a board. Raises `DeviceLost` if it has gone."""
    devices = _devices()
    if board.index < len(devices) and devices[board.index].name == board.name:
        return devices[board.index]
    raise DeviceLost(f"{board.name} is not there any more")


def _devices() -> list[Any]:
    opencl = load_opencl()
    try:
        platforms = opencl.get_platforms()
    except opencl.LogicError:
        raise DriverMissing("OpenCL: no platform is installed") from None
    found = [p for p in platforms if any(word in p.name.lower() for word in FPGA_PLATFORMS)]
    if not found:
        names = ", ".join(p.name for p in platforms)
        raise DriverMissing(f"OpenCL: none of the platforms is for FPGAs ({names})")
    try:
        return [device for platform in found for device in platform.get_devices()]
    except opencl.Error as error:
        raise DriverError(f"OpenCL: {error}") from error


def load_opencl() -> Any:
    """pyopencl. Raises `DriverMissing`."""
    try:
        return importlib.import_module("pyopencl")
    except ImportError as error:
        reason = "pyopencl is not installed; `pip install 'farmctl[fpga]'` adds it"
        if not isinstance(error, ModuleNotFoundError):
            reason = f"pyopencl cannot be loaded: {error}"
        raise DriverMissing(f"OpenCL: {reason}") from None


def _describe(device: Any, index: int, binary: Path | None) -> Board:
    memory = int(device.global_mem_size)
    platform = device.platform.name
    return Board(device.name, platform, device.driver_version, memory, index, binary)
