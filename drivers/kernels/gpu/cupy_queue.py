"""The queue of inference on a GPU, through CuPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from drivers.kernels.gpu.cupy_stream import CupyDevice, CupyStream
from drivers.kernels.gpu.infer.asking import ask_target
from drivers.kernels.gpu.infer.queue import Download, Upload, Work
from drivers.kernels.gpu.infer.schedule import Launch
from drivers.kernels.gpu.infer.target import InferGpu
from drivers.kernels.gpu.source import INFER


class CupyQueue(CupyStream):
    """A `drivers.kernels.gpu.infer.queue.Queue`. On CUDA each piece of prepared work is a graph,
    its copies included."""

    def __init__(self, device: CupyDevice) -> None:
        super().__init__(device, INFER)

    def prepare(self, work: Sequence[Work]) -> Callable[[], None]:
        launches = [each for each in work if isinstance(each, Launch)]
        functions = {
            each.kernel: self._function(each.kernel, each.shared_bytes) for each in launches
        }

        def queue() -> None:
            with self._here(), self._stream:
                for each in work:
                    self._queue(each, functions)

        return self._capture(queue)

    def _queue(self, work: Work, functions: dict[str, Any]) -> None:
        match work:
            case Upload(address, buffer):
                self._queue_copy(address, buffer.ctypes.data, buffer.nbytes, is_upload=True)
            case Download(address, buffer):
                self._queue_copy(buffer.ctypes.data, address, buffer.nbytes, is_upload=False)
            case Launch():
                kernel, lanes = functions[work.kernel], (work.lanes, 1, 1)
                kernel(work.groups, lanes, (work.record,), shared_mem=work.shared_bytes)


def describe(device: CupyDevice, memory_limit_bytes: int | None) -> InferGpu:
    """What plans may use of a GPU."""
    queue = CupyQueue(device)
    try:
        target = ask_target(queue)
    finally:
        queue.close()
    return InferGpu(target, device.units, device.describe(memory_limit_bytes).memory_bytes)
