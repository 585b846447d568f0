"""Searching for cycles with a GPU: it trims, the processor finds the cycles in what is left."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers import proofs
from drivers.base import CuckooJob, CuckooSolution, Found, tell
from drivers.errors import BadArgument, OutOfMemory, WrongAnswer
from drivers.kernels.gpu.launcher import Launcher
from drivers.kernels.gpu.plan import Plan
from drivers.kernels.gpu.planner import plan
from drivers.kernels.gpu.shape import Gpu, Graphs, choose_shape
from drivers.kernels.gpu.trimmer import Entries, Trimmed, Trimmer
from drivers.kernels.jobs import keys_of_job

log = logging.getLogger(__name__)
MAX_IN_FLIGHT = 8


@dataclass(frozen=True)
class Options:
    """How a GPU searches."""

    graphs_at_once: int = 0
    """Graphs in flight, each with memory of its own; 0: two where the memory lets, else one."""
    yield_seconds: float = 0.0
    """Rest after each graph, so that others get their turn on a shared card. One graph at once
    is the default then, lest another keep the card busy meanwhile."""
    shape: Mapping[str, float] = field(default_factory=dict)
    """Fields of `Shape`, in place of the driver's own choice."""


class GpuSearch:
    """A `drivers.base.CuckooSession`. ``open_launcher`` gives a new queue on the GPU; ``gpu``
    says what may be used of it. One search at a time; `stop` may be called from any thread."""

    def __init__(
        self, open_launcher: Callable[[], Launcher], gpu: Gpu, options: Options | None = None
    ) -> None:
        self._open_launcher = open_launcher
        self._gpu = gpu
        self._options = options or Options()
        if not 0 <= self._options.graphs_at_once <= MAX_IN_FLIGHT:
            raise BadArgument(f"graphs at once must be 1 to {MAX_IN_FLIGHT}, or 0 to let it choose")
        self._trimmers: list[Trimmer] = []
        self._stopped = False
        self.edges_lost = 0
        """Edges for which there was no room, over all searches: lost fidelity."""

    def search(
        self,
        job: CuckooJob,
        first_nonce: int,
        graphs: int,
        should_stop: Callable[[], bool],
        found: Found | None = None,
    ) -> tuple[int, list[CuckooSolution]]:
        """See `drivers.base.CuckooSession`. `stop` ends it too, within a round of trimming.

        Raises `NotSupported` for graphs without kernels, `OutOfMemory` for graphs beyond the
        memory that is allowed or free, `WrongAnswer` when what the GPU left cannot be right, and
        `DeviceLost` when it fails: then the session is over.
        """
        keys_of_job(job, first_nonce)
        self._prepare(Graphs(job.edge_bits, job.rounds, job.cycle))
        done, solutions = 0, list[CuckooSolution]()
        free, flying = deque(self._trimmers), deque[tuple[int, Trimmer]]()
        nonces = iter(range(first_nonce, first_nonce + graphs))
        try:
            while not self._stopped and not should_stop():
                while free and (nonce := next(nonces, None)) is not None:
                    free[0].start(keys_of_job(job, nonce))
                    flying.append((nonce, free.popleft()))
                if not flying:
                    break
                nonce, trimmer = flying.popleft()
                trimmed = trimmer.wait()
                if self._stopped:
                    break
                solutions += (cycles := self._solve(job, nonce, trimmer, trimmed))
                tell(cycles, found)
                done += 1
                free.append(trimmer)
                self._rest()
        finally:
            self._abandon([trimmer for _, trimmer in flying])
        return done, solutions

    def verify(self, job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool:
        return proofs.verify(job, nonce, edges) is proofs.Proof.OK

    def stop(self, stopped: bool = True) -> None:
        """From another thread: end the running search soon, and any later one at once, until
        ``stop(False)``."""
        self._stopped = stopped
        for trimmer in self._trimmers:
            trimmer.stop(stopped)

    def release(self) -> None:
        """Free the GPU's memory; the next search takes it again."""
        for trimmer in self._trimmers:
            trimmer.close()
        self._trimmers = []

    def close(self) -> None:
        self._stopped = True
        self.release()

    def survivors(self, job: CuckooJob, nonce: int) -> Trimmed:
        """Trim one graph and say what is left after each round."""
        self._prepare(Graphs(job.edge_bits, job.rounds, job.cycle))
        self._trimmers[0].start(keys_of_job(job, nonce))
        return self._trimmers[0].wait()

    def plan(self, graphs: Graphs) -> Plan:
        """How such graphs are trimmed here. Raises `NotSupported` or `OutOfMemory`."""
        return plan(graphs, self._gpu, choose_shape(graphs, self._gpu, **self._options.shape))

    def _prepare(self, graphs: Graphs) -> None:
        if self._trimmers and self._trimmers[0].plan.graphs == graphs:
            return
        self.release()
        found = self.plan(graphs)
        fitting = self._gpu.memory_bytes // found.memory_bytes
        default = 1 if self._options.yield_seconds > 0 else 2
        count = min(self._options.graphs_at_once or default, fitting)
        if count < self._options.graphs_at_once:
            needed = self._options.graphs_at_once * found.memory_bytes >> 20
            raise OutOfMemory(
                f"{self._options.graphs_at_once} graphs at once need {needed} MiB, and only "
                f"{self._gpu.memory_bytes >> 20} MiB may be used: {fitting} would fit"
            )
        for _ in range(count):
            self._trimmers.append(self._open(found))

    def _open(self, found: Plan) -> Trimmer:
        launcher = self._open_launcher()
        try:
            return Trimmer(launcher, found)
        except OutOfMemory:
            launcher.close()
            raise

    def _solve(
        self, job: CuckooJob, nonce: int, trimmer: Trimmer, trimmed: Trimmed
    ) -> list[CuckooSolution]:
        if trimmed.lost:
            self.edges_lost += trimmed.lost
            log.warning("nonce %d: no room for %d edges; cycles may be missed", nonce, trimmed.lost)
        ends = trimmed.entries.view(np.uint32).reshape(-1, 2)
        places = proofs.find_cycles(ends, job.cycle, job.proof_size)
        if not len(places):
            return []
        numbers = number_edges(trimmer, trimmed.entries, places)
        found = sorted({tuple(sorted(numbers[place] for place in cycle)) for cycle in places})
        return [CuckooSolution(nonce, edges) for edges in found if self.verify(job, nonce, edges)]

    def _rest(self) -> None:
        if self._options.yield_seconds > 0:
            time.sleep(self._options.yield_seconds)

    def _abandon(self, trimmers: list[Trimmer]) -> None:
        """End what is queued and not wanted, before the next search."""
        for trimmer in trimmers:
            trimmer.stop(True)
        for trimmer in trimmers:
            trimmer.wait()
            trimmer.stop(self._stopped)


def number_edges(trimmer: Trimmer, entries: Entries, cycles: NDArray[np.uint32]) -> dict[int, int]:
    """The number of the edge at each place of ``entries`` that a cycle passes. Several edges
    with the same ends are numbered in turn. Raises `WrongAnswer` if there are not as many."""
    wanted = np.unique(entries[cycles])
    numbers = trimmer.recover(wanted)
    left = {int(entry): iter(numbers.get(int(entry), ())) for entry in wanted}
    places = np.flatnonzero(np.isin(entries, wanted))
    try:
        return {int(place): next(left[int(entries[place])]) for place in places}
    except StopIteration:
        raise WrongAnswer("the GPU left an edge that is not in the graph") from None
