"""A GPU and a stream of work on it, through CuPy: CUDA and ROCm alike."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DeviceLost, DriverMissing, NotSupported, OutOfMemory
from drivers.kernels.gpu.binaries import find_cubin
from drivers.kernels.gpu.shape import Gpu
from drivers.kernels.gpu.source import Kernels, kernel_source

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
        with translated(), cupy.cuda.Device(self.number) as device:
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

    @property
    def units(self) -> int:
        """Multiprocessors."""
        with translated():
            return int(cupy.cuda.Device(self.number).attributes["MultiProcessorCount"])


@functools.cache
def _load_module(number: int, kernels: Kernels) -> Any:
    """Raises `DriverMissing` for kernels that must be compiled and cannot."""
    with translated(), cupy.cuda.Device(number) as device:
        if runtime.is_hip:
            return cupy.RawModule(code=kernel_source(kernels), options=("-std=c++17",))
        capability = int(device.compute_capability)
        own = kernels.uses_own_instructions and capability == 90
        return cupy.RawModule(path=str(find_cubin("90a" if own else capability, kernels)))


class CupyStream:
    """A stream of its own on the device, with kernels and the memory that it allocates."""

    def __init__(self, device: CupyDevice, kernels: Kernels) -> None:
        self._device = cupy.cuda.Device(device.number)
        self._module = _load_module(device.number, kernels)
        self._memory: set[int] = set()
        with self._here():
            self._stream = self._new_stream()

    def allocate(self, size_bytes: int) -> int:
        with self._here():
            address = int(runtime.malloc(size_bytes))
        self._memory.add(address)
        return address

    def free(self, address: int) -> None:
        self._memory.discard(address)
        with self._here():
            runtime.free(address)

    def write(self, address: int, data: NDArray[Any]) -> None:
        self._copy_in(address, data, self._stream)

    def read(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        copy = np.empty(size_bytes, np.uint8)
        with self._here():
            if size_bytes:
                kind, stream = runtime.memcpyDeviceToHost, self._stream.ptr
                runtime.memcpyAsync(copy.ctypes.data, address, size_bytes, kind, stream)
            self._stream.synchronize()
        return copy

    def host_buffer(self, size_bytes: int) -> NDArray[np.uint8]:
        """Pinned memory of the host, which copies reach on their own."""
        with self._here():
            memory = cupy.cuda.alloc_pinned_memory(max(1, size_bytes))
        return np.frombuffer(memory, np.uint8, size_bytes)

    def wait(self) -> None:
        with self._here():
            self._stream.synchronize()

    def close(self) -> None:
        """Wait and free all. What a lost device does not give back is gone with the process."""
        memory, self._memory = self._memory, set()
        with contextlib.suppress(DeviceLost), self._here():
            self._stream.synchronize()
            for address in memory:
                runtime.free(address)

    def _capture(self, queue: Callable[[], None]) -> Callable[[], None]:
        """On CUDA what is queued is captured in a graph, which is queued as one."""
        if runtime.is_hip:
            return queue
        with self._here(), self._stream:
            self._stream.begin_capture()
        queue()
        with self._here(), self._stream:
            graph = self._stream.end_capture()

        def launch() -> None:
            with self._here():
                graph.launch(self._stream)

        return launch

    def _new_stream(self) -> Any:
        return cupy.cuda.Stream(non_blocking=True)

    def _queue_copy(self, to: int, source: int, size_bytes: int, is_upload: bool) -> None:
        kind = runtime.memcpyHostToDevice if is_upload else runtime.memcpyDeviceToHost
        runtime.memcpyAsync(to, source, size_bytes, kind, self._stream.ptr)

    def _function(self, kernel: str, shared_bytes: int) -> Any:
        """A kernel, allowed so much shared memory."""
        with self._here():
            function = self._module.get_function(kernel)
            if shared_bytes > ORDINARY_SHARED_BYTES:
                function.max_dynamic_shared_size_bytes = shared_bytes
        return function

    def _copy_in(self, address: int, data: NDArray[Any], stream: Any) -> None:
        data = np.ascontiguousarray(data)
        with self._here():
            kind = runtime.memcpyHostToDevice
            runtime.memcpyAsync(address, data.ctypes.data, data.nbytes, kind, stream.ptr)
            stream.synchronize()

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """On this device, with its errors translated. The device is the thread's, and calls
        come from several."""
        with translated(), self._device:
            yield


@contextlib.contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except (runtime.CUDARuntimeError, driver.CUDADriverError) as error:
        if error.status == OUT_OF_MEMORY:
            raise OutOfMemory(
                f"the GPU's memory is taken by others ({error}); allow less, or free some"
            ) from None
        raise DeviceLost(f"the GPU failed ({error}); open a new session") from None
