"""What runs a schedule's launches: one queue of work on one GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.gpu.infer.schedule import Launch


@dataclass(frozen=True)
class Upload:
    """Host memory of the queue to the GPU, when the work before is done."""

    address: int
    buffer: NDArray[np.uint8]


@dataclass(frozen=True)
class Download:
    """The other way; what is in the buffer counts after `Queue.wait`."""

    address: int
    buffer: NDArray[np.uint8]


Work = Launch | Upload | Download


class Queue(Protocol):
    """Addresses are the GPU's. Every method may raise `DeviceLost`; after that only ``close`` is
    of use."""

    def allocate(self, size_bytes: int) -> int:
        """Address of new memory, of any content. Raises `OutOfMemory`."""
        ...

    def free(self, address: int) -> None: ...

    def host_buffer(self, size_bytes: int) -> NDArray[np.uint8]:
        """Memory that `Upload` and `Download` reach without another copy."""
        ...

    def write(self, address: int, data: NDArray[Any]) -> None:
        """Copy to the GPU, and wait for it."""
        ...

    def prepare(self, work: Sequence[Work]) -> Callable[[], None]:
        """What queues the work, in order, each time it is called."""
        ...

    def wait(self) -> None:
        """For all that is queued."""
        ...

    def close(self) -> None:
        """Wait, and free all memory. Safe to repeat, and after a failure."""
        ...
