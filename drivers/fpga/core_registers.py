"""The core's register map, as in ``core/registers.v``, and how a job is run through it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from drivers.errors import DeviceLost, DriverError, NotSupported
from drivers.fpga.board import Board
from drivers.fpga.passes import Buffers

IDENTITY = 0x4641_524D
MAJOR_VERSION = 1
#: The longest that one layer may take on the core.
JOB_SECONDS = 30.0


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


def identify(board: Board) -> CoreInfo:
    """What core answers. Raises `NotSupported` if it is not one that this driver knows.

    A job that a killed session left behind is waited for first: it may still write to memory."""
    if (identity := board.read(Register.IDENTITY)) != IDENTITY:
        raise NotSupported(f"the design on the board is not farmcore (identity {identity:#x})")
    version, shape = board.read(Register.VERSION), board.read(Register.SHAPE)
    if version >> 16 != MAJOR_VERSION or shape & 0xFFFF != 0x1010:
        raise NotSupported(f"farmcore {version:#x} of shape {shape:#x} needs a newer driver")
    _await_idle(board)
    buffers = Buffers(board.read(Register.FEATURE_BYTES), board.read(Register.MOST_STEPS))
    text = f"{version >> 16}.{version & 0xFFFF}"
    return CoreInfo(text, shape & 0xFF, shape >> 8 & 0xFF, buffers)


def run_job(board: Board, descriptor: int, seconds: float = JOB_SECONDS) -> Counters:
    """Run the descriptors from that address on. Raises `DeviceLost` if the core does not come
    to an end, and `DriverError` with what it reports."""
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


def _await_idle(board: Board) -> None:
    for _ in range(100):
        if not board.read(Register.STATUS) & Status.BUSY:
            return
        board.wait(Register.STATUS, Status.DONE, JOB_SECONDS / 100)
    raise DeviceLost("the core is busy with what another session left; reset the board")
