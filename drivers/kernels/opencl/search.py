"""Proof of work on one OpenCL device: a `drivers.base.CuckooSession`.

The device trims; a thread of the CPU finds the cycles in what is left of a graph while the
device is at the next one, and every cycle passes the CPU's verifier before it is returned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyopencl as cl
from numpy.typing import NDArray

from drivers.base import CuckooJob, CuckooSolution, Found, tell
from drivers.errors import BadArgument, WrongAnswer
from drivers.kernels.jobs import check_job, keys_of_job
from drivers.kernels.opencl.devices import OpenClDevice, translated_errors
from drivers.kernels.opencl.plan import Memory, Plan, make_plan
from drivers.kernels.opencl.recovery import choose_edges
from drivers.kernels.opencl.trimmer import Hashing, Stopped, Trimmer
from drivers.proofs import Proof, find_cycles, verify

log = logging.getLogger(__name__)
MEMORY_SHARE = 0.9
"""Of the device's memory, unless told: the rest is for whatever else uses it."""

Stop = Callable[[], bool]


@dataclass(frozen=True)
class _Left:
    """A trimmed graph whose cycles are being looked for."""

    nonce: int
    ends: NDArray[np.uint32]
    cycles: Future[NDArray[np.uint32]]


class OpenClSearch:
    """Options: ``memory_limit_bytes`` of the device; ``keep_words`` (cuckoo.cl) and
    ``bucket_bits``, which change the speed alone."""

    def __init__(
        self,
        device: OpenClDevice,
        memory_limit_bytes: int | None = None,
        keep_words: bool | None = None,
        bucket_bits: int | None = None,
    ) -> None:
        """Raises `BadArgument` for a limit that is not positive, and `DeviceLost`."""
        if memory_limit_bytes is not None and memory_limit_bytes < 1:
            raise BadArgument("memory_limit_bytes must be positive")
        self._device = device
        self._limit_bytes = memory_limit_bytes or int(MEMORY_SHARE * device.memory_bytes)
        self._keep_words = device.kind == "cpu" if keep_words is None else bool(keep_words)
        self._bucket_bits = bucket_bits
        with translated_errors(device.name):
            self._context = cl.Context([device.handle])
        self._trimmer: Trimmer | None = None
        self._tail = ThreadPoolExecutor(1)
        self._stopped = False
        self.lost_edges = 0
        """Edges for which a bucket had no room, over all graphs so far."""

    def search(
        self,
        job: CuckooJob,
        first_nonce: int,
        graphs: int,
        should_stop: Stop,
        found: Found | None = None,
    ) -> tuple[int, list[CuckooSolution]]:
        """See `drivers.base.CuckooSession`. Raises `OutOfMemory` for graphs that do not fit."""
        check_job(job, first_nonce)
        with translated_errors(self._device.name):
            return self._search(job, range(first_nonce, first_nonce + graphs), should_stop, found)

    def trimmer(self, job: CuckooJob) -> Trimmer:
        """The one for graphs of the job's kind; any other is freed."""
        held = self._trimmer
        if held and (held.plan.edge_bits, held.hashing) == (job.edge_bits, self._hashing(job)):
            return held
        device = self._device
        limit = min(self._limit_bytes, device.memory_bytes)
        memory = Memory(limit, device.max_allocation_bytes, device.usable_local_bytes)
        return self.use_plan(job, make_plan(job.edge_bits, job.cycle, memory, self._bucket_bits))

    def use_plan(self, job: CuckooJob, plan: Plan) -> Trimmer:
        """Search graphs of the job's kind by this plan, until another kind is asked for."""
        self.release()
        self._trimmer = Trimmer(self._context, plan, self._hashing(job))
        return self._trimmer

    def verify(self, job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool:
        return verify(job, nonce, edges) is Proof.OK

    def stop(self, stopped: bool = True) -> None:
        """From another thread: end the running search at its next trimming round, and any
        later one at once, until ``stop(False)``."""
        self._stopped = stopped

    def release(self) -> None:
        """Free the device's memory; the next search takes it again."""
        if self._trimmer is not None:
            self._trimmer.close()
        self._trimmer = None

    def close(self) -> None:
        self.stop()
        self._tail.shutdown()
        with translated_errors(self._device.name):
            self.release()

    def _search(
        self, job: CuckooJob, nonces: range, should_stop: Stop, found: Found | None
    ) -> tuple[int, list[CuckooSolution]]:
        trimmer = self.trimmer(job)
        solutions: list[CuckooSolution] = []
        waiting: _Left | None = None

        def settle() -> None:
            cycles = self._settle(trimmer, job, waiting)
            tell(cycles, found)
            solutions.extend(cycles)

        done = 0
        while done < len(nonces) and not self._is_stopped(should_stop):
            left = self._trim(trimmer, job, nonces[done], should_stop)
            if left is None:
                break
            settle()
            waiting = left
            done += 1
        settle()
        return done, solutions

    def _hashing(self, job: CuckooJob) -> Hashing:
        return Hashing(job.cycle, job.rounds, self._keep_words)

    def _is_stopped(self, should_stop: Stop) -> bool:
        return self._stopped or should_stop()

    def _trim(
        self, trimmer: Trimmer, job: CuckooJob, nonce: int, should_stop: Stop
    ) -> _Left | None:
        try:
            keys = keys_of_job(job, nonce)
            core = trimmer.trim(keys, lambda: self._is_stopped(should_stop))
        except Stopped:
            return None
        if core.lost_edges:
            self.lost_edges += core.lost_edges
            log.warning("nonce %d: %d edges found no room in a bucket", nonce, core.lost_edges)
        task = self._tail.submit(find_cycles, core.ends, job.cycle, job.proof_size)
        return _Left(nonce, core.ends, task)

    def _settle(self, trimmer: Trimmer, job: CuckooJob, left: _Left | None) -> list[CuckooSolution]:
        """The verified cycles of a graph, in the order of their edges."""
        if left is None or not len(cycles := left.cycles.result()):
            return []
        wanted = np.unique(left.ends[cycles.ravel()], axis=0)
        numbers = trimmer.recover(keys_of_job(job, left.nonce), wanted, lambda: False)
        found: set[tuple[int, ...]] = set()
        for places in cycles:
            ends = [(u, v) for u, v in left.ends[places].tolist()]
            proofs = {e for e in choose_edges(ends, numbers) if self.verify(job, left.nonce, e)}
            if not proofs:
                raise WrongAnswer(f"{self._device.name} made up a cycle at nonce {left.nonce}")
            found |= proofs
        return [CuckooSolution(left.nonce, edges) for edges in sorted(found)]
