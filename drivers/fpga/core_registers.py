"""The core's register map, as in ``core/registers.v``, and how a job is run through it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from drivers.errors import DeviceLost, DriverError, NotSupported
from drivers.fpga.board import Board
from drivers.fpga.memory_layout import CHANNELS, ROWS
from drivers.fpga.passes import Buffers

IDENTITY = 0x4641_524D
MAJOR_VERSION = 1
#: The longest that one layer may take on the core.
LAYER_SECONDS = 20.0
POLL_SECONDS = 0.01


class Register(IntEnum):
    IDENTITY = 0x00
    VERSION = 0x04
    SHAPE = 0x08
    FEATURE_BYTES = 0x0C
    MOST_STEPS = 0x10
    DESCRIPTOR = 0x14
    CONTROL = 0x18
    STATUS = 0x1C
    ERRORS = 0x20
    CYCLES = 0x24
    STEPS = 0x28
    BEATS_READ = 0x2C
    BEATS_WRITTEN = 0x30


class Status(IntFlag):
    BUSY = 1
    DONE = 2
    FAILED = 4


class Fault(IntFlag):
    """Bits of the register of errors."""

    DESCRIPTOR = 1
    READ = 2
    WRITE = 4


@dataclass(frozen=True)
class CoreInfo:
    version: str
    rows: int
    channels: int
    buffers: Buffers


@dataclass(frozen=True)
class Counters:
    """What the core counted in one job."""

    cycles: int
    steps: int
    """Cycles in which the array worked."""
    read_bytes: int
    written_bytes: int

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.cycles + other.cycles,
            self.steps + other.steps,
            self.read_bytes + other.read_bytes,
            self.written_bytes + other.written_bytes,
        )


class Core:
    """The core of an open board."""

    def __init__(self, board: Board, layer_seconds: float = LAYER_SECONDS) -> None:
        """Raises `NotSupported` for a design that this driver does not know. A job that a killed
        session left behind is waited for."""
        self.board = board
        self._layer_seconds = layer_seconds
        self.info = _identify(board)
        self._await_idle()

    def run(self, descriptor: int) -> Counters:
        """Run the descriptors from that address on. Raises `DeviceLost` if the core does not come
        to an end, and `DriverError` with what it reports."""
        board, seconds = self.board, self._layer_seconds
        board.write(Register.DESCRIPTOR, descriptor)
        board.write(Register.CONTROL, 1)
        status = Status(board.wait(Register.STATUS, Status.DONE, seconds))
        if not status & Status.DONE:
            board.close()
            raise DeviceLost(f"the core did not finish a layer within {seconds:g} s")
        if status & Status.FAILED:
            faults = Fault(board.read(Register.ERRORS))
            raise DriverError(f"the core reports a fault: {faults.name or int(faults)}".lower())
        beats = (board.read(Register.BEATS_READ) * 8, board.read(Register.BEATS_WRITTEN) * 8)
        return Counters(board.read(Register.CYCLES), board.read(Register.STEPS), *beats)

    def _await_idle(self) -> None:
        deadline = time.monotonic() + self._layer_seconds
        while self.board.read(Register.STATUS) & Status.BUSY:
            if time.monotonic() >= deadline:
                raise DeviceLost("the core is busy with what another session left; power-cycle it")
            time.sleep(POLL_SECONDS)


def _identify(board: Board) -> CoreInfo:
    if (identity := board.read(Register.IDENTITY)) != IDENTITY:
        raise NotSupported(f"the design on the board is not farmcore (identity {identity:#x})")
    version, shape = board.read(Register.VERSION), board.read(Register.SHAPE)
    if version >> 16 != MAJOR_VERSION or shape & 0xFFFF != CHANNELS << 8 | ROWS:
        raise NotSupported(f"farmcore {version:#x} of shape {shape:#x} needs another driver")
    buffers = Buffers(board.read(Register.FEATURE_BYTES), board.read(Register.MOST_STEPS))
    text = f"{version >> 16}.{version & 0xFFFF}"
    return CoreInfo(text, shape & 0xFF, shape >> 8 & 0xFF, buffers)
