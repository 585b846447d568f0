"""Altera and Intel FPGA boards through OpenCL."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from drivers.errors import DriverError, DriverMissing

FPGA_PLATFORMS = ("fpga", "altera")


@dataclass(frozen=True)
class Board:
    name: str
    platform: str
    driver_version: str
    memory_bytes: int


def list_boards() -> list[Board]:
    """Raises `DriverMissing` with the reason when there is no OpenCL platform of an FPGA."""
    opencl = _load()
    try:
        platforms = opencl.get_platforms()
    except opencl.LogicError:
        raise DriverMissing("OpenCL: no platform is installed") from None
    found = [p for p in platforms if any(word in p.name.lower() for word in FPGA_PLATFORMS)]
    if not found:
        names = ", ".join(p.name for p in platforms)
        raise DriverMissing(f"OpenCL: none of the platforms is for FPGAs ({names})")
    try:
        return [_describe(platform, d) for platform in found for d in platform.get_devices()]
    except opencl.Error as error:
        raise DriverError(f"OpenCL: {error}") from error


def _load() -> Any:
    try:
        return importlib.import_module("pyopencl")
    except ImportError as error:
        reason = "pyopencl is not installed; `pip install 'farmctl[fpga]'` adds it"
        if not isinstance(error, ModuleNotFoundError):
            reason = f"pyopencl cannot be loaded: {error}"
        raise DriverMissing(f"OpenCL: {reason}") from None


def _describe(platform: Any, device: Any) -> Board:
    return Board(device.name, platform.name, device.driver_version, int(device.global_mem_size))
