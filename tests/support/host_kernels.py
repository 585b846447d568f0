"""The GPU kernels compiled for the host, behind the launcher that the trimmer asks for."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfMemory
from drivers.kernels import gpu
from drivers.kernels.gpu.plan import Launch

SOURCE = Path(gpu.__file__).with_name("cuckoo_mean_host.cpp")
FLAGS = ("-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")


def build(folder: Path, *flags: str) -> ctypes.CDLL:
    """Compile the library. Raises `subprocess.CalledProcessError`."""
    path = folder / "libcuckoo_host.so"
    command = ["g++", *FLAGS, "-shared", "-fPIC", "-pthread", *flags, "-o", str(path), str(SOURCE)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(path))


class HostLauncher:
    """Runs launches at once, ``groups_at_once`` groups side by side; how many lanes a group has
    is the plan's choice."""

    def __init__(
        self, library: ctypes.CDLL, groups_at_once: int = 1, memory_bytes: int = 1 << 32
    ) -> None:
        self._library = library
        self._groups_at_once = groups_at_once
        self._memory_bytes = memory_bytes
        self._memory: dict[int, NDArray[np.uint8]] = {}
        self.launched: list[str] = []
        self.before_launch: Callable[[Launch], None] = lambda launch: None

    def allocate(self, size_bytes: int) -> int:
        if size_bytes > self._memory_bytes:
            raise OutOfMemory(f"{size_bytes} bytes are not free")
        memory = np.full(size_bytes + 256, 0xA5, np.uint8)
        address = -(-memory.ctypes.data // 256) * 256
        self._memory[address] = memory
        return address

    def write(self, address: int, data: NDArray[Any]) -> None:
        data = np.ascontiguousarray(data)
        ctypes.memmove(address, data.ctypes.data, data.nbytes)

    write_at_once = write

    def read(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        copy = np.empty(size_bytes, np.uint8)
        ctypes.memmove(copy.ctypes.data, address, size_bytes)
        return copy

    def prepare(self, launches: Sequence[Launch], job: int) -> Callable[[], None]:
        def run() -> None:
            for launch in launches:
                self.before_launch(launch)
                self._launch(launch, job)

        return run

    def close(self) -> None:
        self._memory.clear()

    def _launch(self, launch: Launch, job: int) -> None:
        self.launched.append(launch.kernel)
        status = self._library.cuckoo_host_launch(
            launch.kernel.encode(),
            ctypes.c_void_p(job),
            *(launch.step, launch.groups, launch.threads, launch.shared_bytes),
            self._groups_at_once,
        )
        assert status == 0, f"no kernel {launch.kernel}"
