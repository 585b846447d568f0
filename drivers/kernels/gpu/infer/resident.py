"""A model on the GPU: its constants once, and an arena for every request at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BadArgument, DriverError
from drivers.host_program import HostProgram
from drivers.kernels.gpu.infer.host_steps import program_of
from drivers.kernels.gpu.infer.queue import Download, Queue, Upload, Work
from drivers.kernels.gpu.infer.schedule import HostWork, Place, Schedule
from drivers.kernels.infer.layers import Plan

HOST_LIMIT_BYTES = 1 << 30


class Lane:
    """Runs one request at a time, on a queue of its own."""

    def __init__(self, queue: Queue, plan: Plan, schedule: Schedule, constants: int) -> None:
        """Raises `OutOfMemory`."""
        self._queue, self._plan = queue, plan
        self._hosted: list[HostProgram] = []
        self._input = queue.host_buffer(schedule.source.size_bytes)
        self._heads = [queue.host_buffer(head.size_bytes) for head in schedule.heads]
        self._arena = queue.allocate(schedule.arena_bytes)
        try:
            if schedule.zero_bytes:
                begin = self._arena + schedule.arena_bytes - schedule.zero_bytes
                queue.write(begin, np.zeros(schedule.zero_bytes, np.uint8))
            self._steps = self._prepare(schedule, constants)
        except DriverError:
            self.close()
            raise

    def start(self, data: bytes) -> None:
        """Queue a request; where the host computes a part of it, wait for that."""
        if len(data) != self._input.nbytes:
            raise BadArgument(f"the input must be {self._input.nbytes} bytes, not {len(data)}")
        self._input[:] = np.frombuffer(data, np.uint8)
        for step in self._steps:
            step()

    def finish(self) -> bytes:
        self._queue.wait()
        return b"".join(head.tobytes() for head in self._heads)

    def close(self) -> None:
        for program in self._hosted:
            program.close()
        self._queue.wait()
        self._queue.free(self._arena)

    def _prepare(self, schedule: Schedule, constants: int) -> list[Callable[[], None]]:
        """Launches between two steps of the host are prepared as one."""
        items: list[Work | HostWork] = [self._upload(schedule.source, self._input)]
        items += schedule.bind(constants, self._arena)
        pairs = zip(schedule.heads, self._heads, strict=True)
        items += [Download(self._arena + head.offset, buffer) for head, buffer in pairs]
        steps: list[Callable[[], None]] = []
        for is_hosts, group in groupby(items, lambda item: isinstance(item, HostWork)):
            if is_hosts:
                steps += [self._host_step(item) for item in group if isinstance(item, HostWork)]
            else:
                work = [item for item in group if not isinstance(item, HostWork)]
                steps.append(self._queue.prepare(work))
        return steps

    def _upload(self, place: Place, buffer: NDArray[np.uint8]) -> Upload:
        return Upload(self._arena + place.offset, buffer)

    def _host_step(self, work: HostWork) -> Callable[[], None]:
        program = HostProgram(program_of(self._plan, work), HOST_LIMIT_BYTES)
        self._hosted.append(program)
        inputs = [self._queue.host_buffer(place.size_bytes) for place in work.inputs]
        outputs = [self._queue.host_buffer(place.size_bytes) for place in work.outputs]
        fetch = self._queue.prepare(
            [
                Download(self._arena + place.offset, buffer)
                for place, buffer in zip(work.inputs, inputs, strict=True)
            ]
        )
        places = zip(work.outputs, outputs, strict=True)
        store = self._queue.prepare([self._upload(place, buffer) for place, buffer in places])

        def run() -> None:
            fetch()
            self._queue.wait()
            data = b"".join(buffer.tobytes() for buffer in inputs) or bytes(4)
            answer, begin = np.frombuffer(program.run(data), np.uint8), 0
            for buffer in outputs:
                buffer[:] = answer[begin : begin + buffer.nbytes]
                begin += buffer.nbytes
            store()

        return run
