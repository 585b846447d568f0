"""The trimmer's launcher on a GPU, through CuPy: CUDA and ROCm alike."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DeviceLost, DriverMissing, NotSupported, OutOfMemory
from drivers.kernels.gpu.binaries import find_cubin
from drivers.kernels.gpu.plan import Launch
from drivers.kernels.gpu.shape import Gpu
from drivers.kernels.gpu.source import kernel_source

try:
    import cupy
    from cupy.cuda import driver, runtime
except (ImportError, OSError) as error:  # OSError: a vendor's library it needs is missing
    cupy, _missing = None, str(error)
else:
    _missing = ""

OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation, hipErrorOutOfMemory."""
ORDINARY_SHARED_BYTES = 48 << 10
#: Left of the free memory for the context's own needs.
RESERVE_BYTES = 192 << 20


def find_device(pci_address: str) -> int:
    """CuPy's number of the GPU at a PCI address.

    Raises `DriverMissing` without CuPy and `NotSupported` when CuPy does not see the GPU.
    """
    if cupy is None:
        raise DriverMissing(f"CuPy cannot be imported ({_missing})")
    try:
        return int(runtime.deviceGetByPCIBusId(pci_address))
    except runtime.CUDARuntimeError as error:
        raise NotSupported(f"CuPy does not see the GPU at {pci_address}: {error}") from None


@dataclass(frozen=True)
class CupyDevice:
    """One GPU as CuPy numbers it."""

    number: int

    def describe(self, memory_limit_bytes: int | None) -> Gpu:
        """What plans may use: what is free now, or the limit where that is less."""
        with _translated(), cupy.cuda.Device(self.number) as device:
            free, _ = runtime.memGetInfo()
            attributes = device.attributes
            warp_threads = runtime.getDeviceProperties(self.number)["warpSize"]
        group = attributes["MaxSharedMemoryPerBlock"]
        room = free - RESERVE_BYTES
        return Gpu(
            memory_bytes=room if memory_limit_bytes is None else min(room, memory_limit_bytes),
            group_shared_bytes=attributes.get("MaxSharedMemoryPerBlockOptin", 0) or group,
            unit_shared_bytes=attributes.get("MaxSharedMemoryPerMultiprocessor", 0) or group,
            warp_threads=int(warp_threads),
        )

    @functools.cached_property
    def module(self) -> Any:
        """The kernels, loaded. Raises `DriverMissing` when they must be compiled and cannot."""
        with _translated(), cupy.cuda.Device(self.number) as device:
            if runtime.is_hip:
                return cupy.RawModule(code=kernel_source(), options=("-std=c++17",))
            path = find_cubin(int(device.compute_capability))
            return cupy.RawModule(path=str(path))


class CupyLauncher:
    """A stream of its own on the device, and one past it for `write_at_once`."""

    def __init__(self, device: CupyDevice) -> None:
        self._device = cupy.cuda.Device(device.number)
        self._module = device.module
        self._memory: list[int] = []
        with self._here():
            self._stream = cupy.cuda.Stream(non_blocking=True)
            self._bypass = cupy.cuda.Stream(non_blocking=True)

    def allocate(self, size_bytes: int) -> int:
        with self._here():
            self._memory.append(int(runtime.malloc(size_bytes)))
        return self._memory[-1]

    def write(self, address: int, data: NDArray[Any]) -> None:
        self._copy_in(address, data, self._stream)

    def write_at_once(self, address: int, data: NDArray[Any]) -> None:
        self._copy_in(address, data, self._bypass)

    def read(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        copy = np.empty(size_bytes, np.uint8)
        with self._here():
            if size_bytes:
                kind, stream = runtime.memcpyDeviceToHost, self._stream.ptr
                runtime.memcpyAsync(copy.ctypes.data, address, size_bytes, kind, stream)
            self._stream.synchronize()
        return copy

    def prepare(self, launches: Sequence[Launch], job: int) -> Callable[[], None]:
        """On CUDA the launches are captured in a graph, which is queued as one."""
        functions = {launch.kernel: self._function(launch.kernel, launches) for launch in launches}

        def queue() -> None:
            with self._here(), self._stream:
                for launch in launches:
                    arguments = (np.uint64(job), np.uint32(launch.step))
                    grid, block = (launch.groups,), (launch.threads,)
                    function = functions[launch.kernel]
                    function(grid, block, arguments, shared_mem=launch.shared_bytes)

        return queue if runtime.is_hip else self._capture(queue)

    def close(self) -> None:
        """See `Launcher`. What a lost device does not give back is gone with the process."""
        memory, self._memory = self._memory, []
        with contextlib.suppress(DeviceLost), self._here():
            self._stream.synchronize()
            for address in memory:
                runtime.free(address)

    def _capture(self, queue: Callable[[], None]) -> Callable[[], None]:
        with self._here(), self._stream:
            self._stream.begin_capture()
        queue()
        with self._here(), self._stream:
            graph = self._stream.end_capture()

        def launch() -> None:
            with self._here():
                graph.launch(self._stream)

        return launch

    def _function(self, kernel: str, launches: Sequence[Launch]) -> Any:
        """A kernel, allowed the most shared memory that a launch asks for."""
        most = max(launch.shared_bytes for launch in launches if launch.kernel == kernel)
        with self._here():
            function = self._module.get_function(kernel)
            if most > ORDINARY_SHARED_BYTES:
                function.max_dynamic_shared_size_bytes = most
        return function

    def _copy_in(self, address: int, data: NDArray[Any], stream: Any) -> None:
        data = np.ascontiguousarray(data)
        with self._here():
            kind = runtime.memcpyHostToDevice
            runtime.memcpyAsync(address, data.ctypes.data, data.nbytes, kind, stream.ptr)
            stream.synchronize()

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """On this device, with its errors translated. The device is the thread's, and `stop`
        comes from another thread."""
        with _translated(), self._device:
            yield


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (runtime.CUDARuntimeError, driver.CUDADriverError) as error:
        if error.status == OUT_OF_MEMORY:
            raise OutOfMemory(
                f"the GPU's memory is taken by others ({error}); allow less, or free some"
            ) from None
        raise DeviceLost(f"the GPU failed ({error}); open a new session") from None
