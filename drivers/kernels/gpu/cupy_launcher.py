"""The trimmer's launcher on a GPU, through CuPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.gpu.cupy_stream import CupyDevice, CupyStream
from drivers.kernels.gpu.plan import Launch
from drivers.kernels.gpu.source import CUCKOO


class CupyLauncher(CupyStream):
    """One more stream goes past the queue, for `write_at_once`."""

    def __init__(self, device: CupyDevice) -> None:
        super().__init__(device, CUCKOO)
        with self._here():
            self._bypass = self._new_stream()

    def write_at_once(self, address: int, data: NDArray[Any]) -> None:
        self._copy_in(address, data, self._bypass)

    def prepare(self, launches: Sequence[Launch], job: int) -> Callable[[], None]:
        """See `drivers.kernels.gpu.launcher.Launcher`."""
        most: dict[str, int] = {}
        for launch in launches:
            most[launch.kernel] = max(most.get(launch.kernel, 0), launch.shared_bytes)
        functions = {kernel: self._function(kernel, size) for kernel, size in most.items()}

        def queue() -> None:
            with self._here(), self._stream:
                for launch in launches:
                    arguments = (np.uint64(job), np.uint32(launch.step))
                    grid, block = (launch.groups,), (launch.threads,)
                    function = functions[launch.kernel]
                    function(grid, block, arguments, shared_mem=launch.shared_bytes)

        return self._capture(queue)
