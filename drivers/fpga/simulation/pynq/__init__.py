"""The part of PYNQ's interface that the bridge uses, over the simulated core instead of a board.

It stands where the real ``pynq`` stands: the same names, the same signatures. Time passes as
registers are read: each read advances the core's clock.

Variables: ``FARMCTL_FPGA_SIMULATION`` how many boards there are, ``FARMCTL_FPGA_LIBRARY`` the
compiled core (not needed to list the boards), ``FARMCTL_FPGA_FAULTS`` a folder in which a file
named by a board's number holds the fault it has at the moment: ``hang`` (memory never answers),
``wrong`` (a bit of each beat is written wrong), ``bus_error``, ``sleep`` (a call never returns),
``gone`` (calls fail).
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__version__ = "0-simulation"

MEMORY_BYTES = 256 << 20
PAGE_BYTES = 4096
CORE_ADDRESS = 0x43C0_0000
CYCLES_A_READ = 2000
FAULTS = {"hang": 1, "wrong": 2, "bus_error": 3}


class SimulatedDevice:
    """A board: one core with its memory, made when first used."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = "Simulated farmcore"
        self.tag = f"simulation{index}"
        self._core: int | None = None
        self._free = [(0, MEMORY_BYTES)]

    def read(self, offset: int) -> int:
        """A register, after some cycles have gone by."""
        library, core = self._open()
        library.farmsim_advance(core, CYCLES_A_READ)
        value = ctypes.c_uint32()
        if not library.farmsim_read(core, offset, ctypes.byref(value)):
            raise RuntimeError("the core does not answer")
        return value.value

    def write(self, offset: int, value: int) -> None:
        library, core = self._open()
        if not library.farmsim_write(core, offset, value):
            raise RuntimeError("the core does not answer")

    def memory(self, address: int, size: int) -> NDArray[np.uint8]:
        """A view of the board's memory."""
        library, core = self._open()
        start = address - library.farmsim_memory_base()
        return np.ctypeslib.as_array(library.farmsim_memory(core), (MEMORY_BYTES,))[
            start : start + size
        ]

    def take(self, size: int) -> int:
        """Address of that much memory, on a page's boundary. First that fits."""
        library, _ = self._open()
        whole = -(-size // PAGE_BYTES) * PAGE_BYTES
        for place, (start, length) in enumerate(self._free):
            if length >= whole:
                self._free[place] = (start + whole, length - whole)
                return int(library.farmsim_memory_base()) + start
        raise MemoryError(f"the board has no {size} bytes left")

    def give(self, address: int, size: int) -> None:
        """Put memory back, joined with what is free beside it."""
        library, _ = self._open()
        whole = -(-size // PAGE_BYTES) * PAGE_BYTES
        freed = (address - library.farmsim_memory_base(), whole)
        joined: list[tuple[int, int]] = []
        for start, length in sorted([*self._free, freed]):
            if joined and sum(joined[-1]) == start:
                start, length = joined[-1][0], joined.pop()[1] + length
            joined.append((start, length))
        self._free = joined

    def _open(self) -> tuple[ctypes.CDLL, int]:
        library = _library()
        if self._core is None:
            self._core = library.farmsim_create(MEMORY_BYTES, self.index + 1)
        fault = self._fault()
        if fault == "gone":
            raise RuntimeError(f"board {self.index} does not answer")
        while fault == "sleep":
            time.sleep(3600)
        library.farmsim_set_fault(self._core, FAULTS.get(fault, 0))
        return library, self._core

    def _fault(self) -> str:
        folder = os.environ.get("FARMCTL_FPGA_FAULTS")
        path = Path(folder, str(self.index)) if folder else None
        return path.read_text().strip() if path and path.is_file() else ""


class Device:
    """As ``pynq.Device``: the boards there are, and the one in use."""

    devices = tuple(SimulatedDevice(i) for i in range(int(os.environ["FARMCTL_FPGA_SIMULATION"])))
    active_device = devices[0] if devices else None


class Overlay:
    """As ``pynq.Overlay``; there is nothing to load."""

    def __init__(self, bitfile_name: str, device: SimulatedDevice | None = None) -> None:
        self.bitfile_name = bitfile_name
        self.ip_dict = {
            "farmcore_0": {"type": "farmctl:core:farmcore:1.0", "phys_addr": CORE_ADDRESS}
        }


class MMIO:
    """As ``pynq.MMIO``; only the core has registers."""

    def __init__(
        self, base_addr: int, length: int = 4, device: SimulatedDevice | None = None
    ) -> None:
        self._device = device or Device.active_device
        if base_addr != CORE_ADDRESS:
            raise RuntimeError(f"nothing at {base_addr:#x}")

    def read(self, offset: int = 0, length: int = 4) -> int:
        return _active(self._device).read(offset)

    def write(self, offset: int, data: int) -> None:
        _active(self._device).write(offset, data)


class Buffer(np.ndarray[Any, np.dtype[Any]]):
    """As ``pynq.PynqBuffer``: an array of the board's memory. Its cache is the host's copy, so
    that a forgotten flush or invalidate shows."""

    physical_address: int
    _device: SimulatedDevice

    def __array_finalize__(self, obj: object) -> None:
        self.physical_address = getattr(obj, "physical_address", 0)
        self._device = getattr(obj, "_device", None)  # type: ignore[assignment]

    def flush(self) -> None:
        at = self._device.memory(self.physical_address, self.nbytes)
        at[:] = np.frombuffer(self.tobytes(), np.uint8)

    def invalidate(self) -> None:
        at = self._device.memory(self.physical_address, self.nbytes)
        self[...] = at.view(self.dtype).reshape(self.shape)

    def freebuffer(self) -> None:
        self._device.give(self.physical_address, self.nbytes)


def allocate(
    shape: tuple[int, ...], dtype: DTypeLike = "u4", target: SimulatedDevice | None = None
) -> Buffer:
    """As ``pynq.allocate``."""
    device = _active(target or Device.active_device)
    buffer = np.zeros(shape, dtype).view(Buffer)
    buffer._device = device
    buffer.physical_address = device.take(buffer.nbytes)
    return buffer


def _active(device: SimulatedDevice | None) -> SimulatedDevice:
    if device is None:
        raise RuntimeError("no board; FARMCTL_FPGA_SIMULATION says how many there are")
    return device


_loaded: list[ctypes.CDLL] = []


def _library() -> ctypes.CDLL:
    if not _loaded:
        _loaded.append(_declare(ctypes.CDLL(os.environ["FARMCTL_FPGA_LIBRARY"])))
    return _loaded[0]


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    core, word = ctypes.c_void_p, ctypes.c_uint32
    library.farmsim_create.restype = core
    library.farmsim_create.argtypes = [ctypes.c_uint64, word]
    library.farmsim_memory_base.restype = word
    library.farmsim_memory.restype = ctypes.POINTER(ctypes.c_uint8)
    library.farmsim_memory.argtypes = [core]
    library.farmsim_set_fault.argtypes = [core, ctypes.c_int]
    library.farmsim_read.argtypes = [core, word, ctypes.POINTER(word)]
    library.farmsim_write.argtypes = [core, word, word]
    library.farmsim_advance.argtypes = [core, ctypes.c_uint64]
    return library
