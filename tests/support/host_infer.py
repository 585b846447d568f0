"""The inference kernels compiled for the host, behind the queue that schedules ask for."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.gpu import infer
from drivers.kernels.gpu.infer.queue import Download, Upload, Work
from drivers.kernels.gpu.infer.target import Target

SOURCE = Path(infer.__file__).with_name("infer_host.cpp")
FLAGS = ("-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
#: INFER_TARGET of language.cuh, and whether products are signed.
TARGETS = {
    "plain": (0, Target("plain")),
    "dot": (61, Target("dot")),
    "dot_signed": (61, Target("dot", flips=True)),
    "mma16": (75, Target("mma16")),
    "mma32": (80, Target("mma32")),
    "wgmma": (90, Target("wgmma")),
    "mfma": (908, Target("mfma", flips=True)),
}


def build(folder: Path, name: str, *flags: str) -> ctypes.CDLL:
    """Compile one target's library. Raises `subprocess.CalledProcessError`."""
    number, target = TARGETS[name]
    path = folder / f"libinfer_{name}.so"
    defines = [f"-DINFER_TARGET={number}", f"-DINFER_FLIPS={int(target.flips)}"]
    command = ["g++", *FLAGS, *defines, "-shared", "-fPIC", *flags, "-o", str(path), str(SOURCE)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(path))


class HostQueue:
    """Runs work at once. Lanes take turns forwards, or backwards."""

    def __init__(self, library: ctypes.CDLL, backwards: bool = False) -> None:
        self._library = library
        self._backwards = backwards
        self._memory: dict[int, NDArray[np.uint8]] = {}
        self.launched: list[str] = []

    def allocate(self, size_bytes: int) -> int:
        memory = np.full(size_bytes + 256, 0xA5, np.uint8)
        address = -(-memory.ctypes.data // 256) * 256
        self._memory[address] = memory
        return address

    def free(self, address: int) -> None:
        del self._memory[address]

    def host_buffer(self, size_bytes: int) -> NDArray[np.uint8]:
        return np.zeros(size_bytes, np.uint8)

    def write(self, address: int, data: NDArray[Any]) -> None:
        data = np.ascontiguousarray(data)
        ctypes.memmove(address, data.ctypes.data, data.nbytes)

    def prepare(self, work: Sequence[Work]) -> Callable[[], None]:
        def run() -> None:
            for each in work:
                self._do(each)

        return run

    def wait(self) -> None:
        pass

    def close(self) -> None:
        self._memory.clear()

    def _do(self, work: Work) -> None:
        match work:
            case Upload(address, buffer):
                ctypes.memmove(address, buffer.ctypes.data, buffer.nbytes)
            case Download(address, buffer):
                ctypes.memmove(buffer.ctypes.data, address, buffer.nbytes)
            case launch:
                self.launched.append(launch.kernel)
                status = self._library.infer_host_launch(
                    launch.kernel.encode(),
                    ctypes.c_void_p(launch.record.ctypes.data),
                    (ctypes.c_uint32 * 3)(*launch.groups),
                    *(launch.lanes, launch.shared_bytes, self._backwards),
                )
                assert status == 0, f"no kernel {launch.kernel}"
