"""The INFER capability of an OpenCL device: sessions as on every GPU, on kernels of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from drivers.kernels.gpu.infer import layout
from drivers.kernels.gpu.infer.opening import open_proved
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu, Target, Tile
from drivers.kernels.opencl.devices import OpenClDevice
from drivers.kernels.opencl.infer_queue import Memory, OpenClQueue

MEMORY_SHARE = 0.9
"""Of the device's memory, unless told: the rest is for whatever else uses it."""
TILE = 64


@dataclass(frozen=True)
class OpenClTarget(Target):
    """The tiles of infer_convolve.cl. OpenCL 1.2 does not order what groups write before the
    kernel ends, so that none of them can know the sums of the others."""

    @property
    def finishes_apart(self) -> bool:
        return True

    @property
    def depth(self) -> int:
        return 64

    @property
    def tiles(self) -> tuple[Tile, ...]:
        return (Tile("convolve", TILE, TILE, layout.LANES),)

    @property
    def first(self) -> Tile:
        return Tile("convolve_first", TILE, TILE, layout.LANES)

    def channel_order(self) -> list[int]:
        return list(range(32))


def open_infer(device: OpenClDevice, **options: Any) -> GpuInfer:
    """A session on the device; see `open_proved`. Without a limit it has nine tenths of the
    device's memory.

    Raises `BadArgument`, `NotSupported`, `DeviceLost` and `SelfTestFailed`.
    """
    memory = Memory.open(device)
    return open_proved(lambda: OpenClQueue(memory), partial(describe, device), options)


def describe(device: OpenClDevice, memory_limit_bytes: int | None) -> InferGpu:
    """What plans may use of a device."""
    room = int(MEMORY_SHARE * device.memory_bytes)
    room = room if memory_limit_bytes is None else min(room, memory_limit_bytes)
    return InferGpu(OpenClTarget("opencl"), device.handle.max_compute_units, room)
