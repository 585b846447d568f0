"""The INFER capability of an OpenCL device: sessions as on every GPU, on kernels of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drivers.errors import BadArgument, DriverError
from drivers.kernels.gpu.infer import layout, trial
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu, Target, Tile
from drivers.kernels.opencl.devices import OpenClDevice
from drivers.kernels.opencl.infer_queue import Memory, OpenClQueue

OPTIONS = frozenset({"memory_limit_bytes", "lanes"})
MEMORY_SHARE = 0.9
"""Of the device's memory, unless told: the rest is for whatever else uses it."""
TILE = 64


@dataclass(frozen=True)
class OpenClTarget(Target):
    """The tiles of infer.cl. OpenCL 1.2 does not order what groups write before the kernel ends,
    so that none of them can know the sums of the others."""

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
    """A session on the device, which has shown that its kernels answer rightly. Options:
    ``memory_limit_bytes`` (else nine tenths of the device's) and ``lanes``: requests at a time.

    Raises `BadArgument`, `NotSupported`, `DeviceLost` and `SelfTestFailed`.
    """
    if unknown := options.keys() - OPTIONS:
        raise BadArgument(f"INFER on OpenCL has no option {', '.join(sorted(unknown))}")
    limit = options.pop("memory_limit_bytes", None)
    if limit is not None and limit < 1:
        raise BadArgument("memory_limit_bytes must be positive")
    room = int(MEMORY_SHARE * device.memory_bytes)
    memory = Memory.open(device)
    gpu = InferGpu(
        OpenClTarget("opencl"), device.handle.max_compute_units, min(room, limit or room)
    )
    session = GpuInfer(lambda: OpenClQueue(memory), gpu, **options)
    try:
        trial.check(session)
    except DriverError:
        session.close()
        raise
    return session
