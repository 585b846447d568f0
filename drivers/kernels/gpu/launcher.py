"""What the trimmer needs of a device: memory, copies and launches, in one queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.gpu.plan import Launch


class Launcher(Protocol):
    """One queue of work on one device. Addresses are the device's. Every method may raise
    `DeviceLost`; after that only ``close`` is of use."""

    def allocate(self, size_bytes: int) -> int:
        """Address of new memory, of any content. Raises `OutOfMemory`."""
        ...

    def write(self, address: int, data: NDArray[Any]) -> None:
        """Copy to the device when what was queued before is done."""
        ...

    def write_at_once(self, address: int, data: NDArray[Any]) -> None:
        """Copy to the device past the queue, from any thread."""
        ...

    def read(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        """Wait for what was queued before, and copy from the device."""
        ...

    def prepare(self, launches: Sequence[Launch], job: int) -> Callable[[], None]:
        """What queues these launches, one after another, each time it is called."""
        ...

    def close(self) -> None:
        """Wait for what is queued and free all memory. Safe to repeat, and after a failure."""
        ...
