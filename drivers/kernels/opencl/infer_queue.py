"""The queue of inference on an OpenCL device, whose kernels are ``infer*.cl``.

OpenCL has no addresses that last. One here is a buffer's number and a place within it, which the
kernels tell apart again.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
from numpy.typing import NDArray

from drivers.errors import DriverError, NotSupported, OutOfMemory
from drivers.kernels.gpu.infer import layout
from drivers.kernels.gpu.infer.queue import Download, Upload, Work
from drivers.kernels.gpu.infer.schedule import Launch
from drivers.kernels.opencl.devices import OpenClDevice, translated_errors

HERE = Path(__file__).parent
SOURCES = tuple(HERE / name for name in ("infer.cl", "infer_convolve.cl", "infer_planes.cl"))
DOT_EXTENSION = "cl_khr_integer_dot_product"
#: Bits of an address that are the place in a buffer (PLACE in infer.cl).
PLACE_BITS = 44
#: Fields of records that point to constants; every other pointer is into an arena.
CONSTANTS = frozenset({"bias", "multiplier", "offset", "outside", "weights", "taps", "table"})


def options_of(device: OpenClDevice) -> list[str]:
    """How the kernels are compiled: with the device's own products of four bytes if it has any."""
    has_dot = DOT_EXTENSION in device.handle.extensions.split()
    return [f"-cl-std={'CL3.0' if has_dot else 'CL1.2'}", f"-DINFER_DOT={int(has_dot)}"]


def kernel_source() -> str:
    return "\n".join(path.read_text("utf-8") for path in SOURCES)


@dataclass
class Memory:
    """Kernels and buffers that the queues of a session share."""

    device: OpenClDevice
    context: Any
    program: Any
    buffers: dict[int, Any] = field(default_factory=dict)
    """By number, from 1 on."""

    @classmethod
    def open(cls, device: OpenClDevice) -> Memory:
        """Raises `DeviceLost`, and `NotSupported` for a device whose groups are too small."""
        with translated_errors(device.name):
            context = cl.Context([device.handle])
            program = cl.Program(context, kernel_source()).build(options=options_of(device))
            _expect_lanes(program, device)
        return cls(device, context, program)

    def allocate(self, size_bytes: int) -> int:
        """Raises `OutOfMemory`."""
        if size_bytes > self.device.max_allocation_bytes:
            raise OutOfMemory(
                f"{self.device.name} gives at most {self.device.max_allocation_bytes >> 20} MiB "
                f"at once, and the model needs {size_bytes >> 20} MiB in one piece"
            )
        with translated_errors(self.device.name):
            buffer = cl.Buffer(self.context, cl.mem_flags.READ_WRITE, max(4, size_bytes))
        number = next(n for n in itertools.count(1) if n not in self.buffers)
        self.buffers[number] = buffer
        return number << PLACE_BITS

    def free(self, address: int) -> None:
        with translated_errors(self.device.name):
            self.buffers.pop(address >> PLACE_BITS).release()

    def find(self, address: int) -> tuple[Any, int]:
        """The buffer, and the place within it."""
        return self.buffers[address >> PLACE_BITS], address & (1 << PLACE_BITS) - 1

    def close(self) -> None:
        """Safe to repeat, and after a failure."""
        for number in list(self.buffers):
            with contextlib.suppress(DriverError):
                self.free(number << PLACE_BITS)


class OpenClQueue:
    """A `drivers.kernels.gpu.infer.queue.Queue`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        with translated_errors(memory.device.name):
            self._queue = cl.CommandQueue(memory.context)
        self._under_way: list[Any] = []
        """Events: whoever drops one of a copy waits for it."""

    def allocate(self, size_bytes: int) -> int:
        return self._memory.allocate(size_bytes)

    def free(self, address: int) -> None:
        self._memory.free(address)

    def host_buffer(self, size_bytes: int) -> NDArray[np.uint8]:
        return np.zeros(size_bytes, np.uint8)

    def write(self, address: int, data: NDArray[Any]) -> None:
        buffer, place = self._memory.find(address)
        content = np.ascontiguousarray(data)
        with translated_errors(self._memory.device.name):
            cl.enqueue_copy(self._queue, buffer, content, dst_offset=place, is_blocking=True)

    def prepare(self, work: Sequence[Work]) -> Callable[[], None]:
        """Kernels hold their arguments, so that queueing them again costs little."""
        with translated_errors(self._memory.device.name):
            steps = [self._prepare(each) for each in work]

        def queue() -> None:
            with translated_errors(self._memory.device.name):
                self._under_way += [step() for step in steps]
                self._queue.flush()

        return queue

    def wait(self) -> None:
        with translated_errors(self._memory.device.name):
            self._queue.finish()
            self._under_way.clear()

    def close(self) -> None:
        with contextlib.suppress(DriverError):  # A device that is lost holds nothing.
            self.wait()
        self._memory.close()

    def _prepare(self, work: Work) -> Callable[[], Any]:
        if isinstance(work, Launch):
            return self._prepare_launch(work)
        buffer, place = self._memory.find(work.address)
        copy = partial(cl.enqueue_copy, self._queue, is_blocking=False)
        match work:
            case Upload(_, host):
                return partial(copy, buffer, host, dst_offset=place)
            case Download(_, host):
                return partial(copy, host, buffer, src_offset=place)

    def _prepare_launch(self, launch: Launch) -> Callable[[], Any]:
        kernel = cl.Kernel(self._memory.program, launch.kernel)
        pointers = list(_pointers(launch.record))
        kernel.set_arg(0, self._find_region(at for name, at in pointers if name in CONSTANTS))
        kernel.set_arg(1, self._find_region(at for name, at in pointers if name not in CONSTANTS))
        kernel.set_arg(2, launch.record.tobytes())
        across, down, deep = launch.groups
        size, group = (across * launch.lanes, down, deep), (launch.lanes, 1, 1)
        return partial(cl.enqueue_nd_range_kernel, self._queue, kernel, size, group)

    def _find_region(self, addresses: Iterator[int]) -> Any:
        """The one buffer that a kernel's pointers of a kind point into; None without any."""
        found = {address >> PLACE_BITS for address in addresses}
        assert len(found) <= 1, "pointers of one kind lie in one buffer"
        return self._memory.buffers[found.pop()] if found else None


def _pointers(record: Any) -> Iterator[tuple[str, int]]:
    for name in record.dtype.names:
        value = record[name]
        if value.dtype.names:
            yield from _pointers(value)
        elif value.dtype == np.dtype("<u8") and value[0]:
            yield name, int(value[0])


def _expect_lanes(program: Any, device: OpenClDevice) -> None:
    asked = cl.kernel_work_group_info.WORK_GROUP_SIZE
    for kernel in program.all_kernels():
        most = kernel.get_work_group_info(asked, device.handle)
        if most < layout.LANES:
            raise NotSupported(
                f"{device.name} runs {kernel.function_name} in groups of {most} at most, and "
                f"inference needs {layout.LANES}"
            )
