"""Proof of work on the CPU: graphs, the verifier and the search session."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, byref, c_int32, c_size_t, c_uint32, c_uint64
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from drivers.base import CuckooJob, CuckooSolution, Found, tell
from drivers.cpu import library
from drivers.cpu.numa import Processors, place, read_nodes
from drivers.errors import BadArgument, DriverError, OutOfMemory
from drivers.kernels.graphs import MIN_EDGE_BITS, Cycle
from drivers.kernels.jobs import keys_of_job

MAX_CYCLES = 256
"""Cycles taken from one graph; beyond any seen (1/42 of graphs has one 42-cycle)."""


SHARED_EDGE_BITS = 25
"""From here on threads share a graph."""

MAX_SHARING_THREADS = 8
"""Threads in one graph: each has a chunk begun in thousands of lists."""


class Proof(IntEnum):
    """Answer of the verifier; OK to SHORT_CYCLE are the reference node's codes."""

    OK = 1
    WRONG_LENGTH = 2
    TOO_BIG = 3
    TOO_SMALL = 4
    NON_MATCHING = 5
    BRANCH = 6
    DEAD_END = 7
    SHORT_CYCLE = 8
    BAD_GRAPH = 100


def graph_of(job: CuckooJob, nonce: int) -> library.Graph:
    """Raises `BadArgument` for a job outside the family of graphs."""
    keys = (c_uint64 * 4)(*keys_of_job(job, nonce))
    return library.Graph(keys, job.edge_bits, *job.rounds, job.proof_size, job.cycle.pair)


def verify(job: CuckooJob, nonce: int, edges: Sequence[int]) -> Proof:
    """Check a cycle, as the reference node does. Raises `BadArgument` for a bad job."""
    graph = graph_of(job, nonce)
    if len(edges) != job.proof_size:
        return Proof.WRONG_LENGTH
    if not all(0 <= e < 1 << job.edge_bits for e in edges):
        return Proof.TOO_BIG
    numbers = (c_uint32 * len(edges))(*edges)
    return Proof(library.load().farmcpu_cuckoo_verify(byref(graph), numbers, len(edges)))


def siphash_block(job: CuckooJob, nonce: int, edge: int) -> tuple[int, ...]:
    """The 64 words of the block of edges of Cuckaroo that holds ``edge``."""
    words = (c_uint64 * 64)()
    graph = graph_of(job, nonce)
    library.load().farmcpu_siphash_block(byref(graph), edge, words)
    return tuple(words)


def find_cycles(ends: NDArray[np.uint32], cycle: Cycle, length: int) -> NDArray[np.uint32]:
    """Cycles of ``length`` edges among those that trimming left over. ``ends`` (edges, 2) holds
    the nodes u and v of each; the answer (cycles, length) holds ascending places in it."""
    ends = np.ascontiguousarray(ends, np.uint32)
    cycles = np.empty((MAX_CYCLES, length), np.uint32)
    found = c_size_t()
    to = cycles.ctypes.data_as(POINTER(c_uint32))
    status = library.load().farmcpu_find_cycles(
        ends.ctypes.data, len(ends), cycle.pair, length, to, MAX_CYCLES, byref(found)
    )
    if status != library.Status.OK:
        raise DriverError(f"finding cycles failed: {library.Status(status).name.lower()}")
    return cycles[: found.value]


class Method(IntEnum):
    """How a solver trims: ``farmcpu_method``. MEAN is fast, LEAN takes about a
    fifteenth of the memory."""

    MEAN = 0
    LEAN = 1


def needed_bytes(method: Method, edge_bits: int, cycle: Cycle, threads: int = 1) -> int | None:
    """The least memory that a method takes, or None where it has no such graphs."""
    size = library.load().farmcpu_solver_bytes(edge_bits, cycle.pair, method, threads)
    return int(size) or None


def choose_method(
    edge_bits: int, cycle: Cycle, memory_limit_bytes: int, threads: int = 1
) -> Method:
    """The fastest method within the memory. Raises `OutOfMemory` where none is, naming what it
    would take and what would fit."""
    for method in Method:
        needed = needed_bytes(method, edge_bits, cycle, threads)
        if needed is not None and needed <= memory_limit_bytes:
            return method
    raise OutOfMemory(_refusal(edge_bits, cycle, memory_limit_bytes, threads))


def _refusal(edge_bits: int, cycle: Cycle, memory_limit_bytes: int, threads: int) -> str:
    least = needed_bytes(Method.LEAN, edge_bits, cycle, threads) or 0
    sizes = range(MIN_EDGE_BITS, edge_bits)
    fitting = [
        size
        for size in sizes
        if (needed_bytes(Method.LEAN, size, cycle, threads) or 0) <= memory_limit_bytes
    ]
    largest = f"graphs of up to {fitting[-1]} edge bits fit" if fitting else "no graph fits"
    return (
        f"{cycle} of {edge_bits} edge bits takes {least >> 20} MiB at least, and "
        f"{memory_limit_bytes >> 20} MiB are allowed; allow more memory ({largest} as it is)"
    )


class Solver:
    """A native solver for graphs of one size and cycle; one search at a time.

    ``method`` is chosen by the memory unless told. Its threads share each graph.
    """

    def __init__(
        self,
        edge_bits: int,
        memory_limit_bytes: int,
        cycle: Cycle = Cycle.CUCKAROO,
        threads: int = 1,
        method: Method | None = None,
    ) -> None:
        """Raises `OutOfMemory` when the size cannot be had within the memory."""
        self._library = library.load()
        self.edge_bits, self.cycle = edge_bits, cycle
        if method is None:
            method = choose_method(edge_bits, cycle, memory_limit_bytes, threads)
        self.method = method
        self._stop = c_int32(0)
        self._handle = self._library.farmcpu_solver_create(
            edge_bits, cycle.pair, method, threads, memory_limit_bytes
        )
        if not self._handle:
            raise OutOfMemory(
                f"no {method.name.lower()} solver for {edge_bits} edge bits of {cycle} within "
                f"{memory_limit_bytes >> 20} MiB; allow more memory or choose smaller graphs"
            )

    def solve(self, job: CuckooJob, nonce: int) -> list[CuckooSolution] | None:
        """Every cycle of one graph, each verified; None if it was stopped."""
        graph = graph_of(job, nonce)
        cycles = (c_uint32 * (MAX_CYCLES * job.proof_size))()
        found = c_size_t()
        status = self._library.farmcpu_solve(
            self._handle, byref(graph), byref(self._stop), cycles, MAX_CYCLES, byref(found)
        )
        if status == library.Status.STOPPED:
            return None
        if status == library.Status.NO_MEMORY:
            raise OutOfMemory(f"the memory ran out in a graph of {self.edge_bits} edge bits")
        if status != library.Status.OK:
            raise DriverError(f"the solver failed: {library.Status(status).name.lower()}")
        size = job.proof_size
        starts = range(0, found.value * size, size)
        return [CuckooSolution(nonce, tuple(cycles[i : i + size])) for i in starts]

    def survivors(self) -> tuple[int, ...]:
        """Edges left before the first trimming round and after each, of the last graph."""
        counts: list[int] = []
        while count := self._library.farmcpu_solver_survivors(self._handle, len(counts)):
            counts.append(count)
        return tuple(counts)

    def phases(self) -> dict[str, float]:
        """Wall seconds of the last graph by phase, in their order: generation, the first
        trimming rounds one by one, the tail of rounds, peel and recovery."""
        took = library.Phases()
        self._library.farmcpu_solver_phases(self._handle, byref(took))
        rounds = {f"round {n}": seconds for n, seconds in enumerate(took.rounds, 1)}
        last = {"tail": took.tail, "peel": took.peel, "recovery": took.recovery}
        return {"generation": took.generation, **rounds, **last}

    def stop(self, stopped: bool = True) -> None:
        """From any thread: end the running search at its next trimming round."""
        self._stop.value = int(stopped)

    def close(self) -> None:
        if self._handle:
            self._library.farmcpu_solver_free(self._handle)
            self._handle = None


def share_out(
    threads: int, edge_bits: int, cycle: Cycle, memory_limit_bytes: int
) -> tuple[int, int]:
    """Graphs at once, and threads in each. Below `SHARED_EDGE_BITS` a graph's rounds are too
    short to be worth meeting at their ends; above, two graphs would take twice the memory."""
    within = min(threads, MAX_SHARING_THREADS) if edge_bits >= SHARED_EDGE_BITS else 1
    needed = needed_bytes(Method.MEAN, edge_bits, cycle, within)
    graphs = threads // within
    if needed is not None and needed * graphs <= memory_limit_bytes:
        return graphs, within
    if needed is not None and within > 1 and needed <= memory_limit_bytes:
        return memory_limit_bytes // needed, within
    return 1, threads


class CuckooSearch:
    """A `drivers.base.CuckooSession` on the CPU.

    ``threads`` share large graphs, and search small ones each by itself (`share_out`), or else
    as many ``graphs_at_once`` as told, all within ``memory_limit_bytes``.
    ``niceness`` is added to that of the process, for the searching threads alone.
    """

    def __init__(
        self,
        threads: int,
        memory_limit_bytes: int,
        niceness: int = 0,
        graphs_at_once: int | None = None,
    ) -> None:
        if threads < 1:
            raise BadArgument("threads must be at least 1")
        if graphs_at_once is not None and not 1 <= graphs_at_once <= threads:
            raise BadArgument(f"graphs at once must be 1 to the threads, {threads}")
        self._threads = threads
        self._graphs_at_once = graphs_at_once
        self._memory_limit_bytes = memory_limit_bytes
        self._solvers: list[Solver] = []
        # On Linux a niceness is that of a thread, and of those it starts.
        self._nodes = read_nodes()
        self._places: list[Processors | None] = []
        own = threads > 1 or niceness > 0 or len(self._nodes) > 1
        self._pool = ThreadPoolExecutor(threads, "search", os.nice, (niceness,)) if own else None
        self._stopped = False

    def search(
        self,
        job: CuckooJob,
        first_nonce: int,
        graphs: int,
        should_stop: Callable[[], bool],
        found: Found | None = None,
    ) -> tuple[int, list[CuckooSolution]]:
        """See `drivers.base.CuckooSession`. `stop` ends it too, even within a graph."""
        graph_of(job, first_nonce)
        self._prepare(job)
        done = 0
        solutions: list[CuckooSolution] = []
        while done < graphs and not should_stop() and not self._stopped:
            at_once = min(graphs - done, len(self._solvers))
            nonces = range(first_nonce + done, first_nonce + done + at_once)
            for cycles in self._solve_each(job, nonces):
                if cycles is None:
                    return done, solutions
                done += 1
                solutions += cycles
                tell(cycles, found)
        return done, solutions

    def verify(self, job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool:
        return verify(job, nonce, edges) is Proof.OK

    def stop(self, stopped: bool = True) -> None:
        """From another thread: end the running search soon, and any later one at once, until
        ``stop(False)``."""
        self._stopped = stopped
        for solver in self._solvers:
            solver.stop(stopped)

    def release(self) -> None:
        """Free the solvers' memory; the next search takes it again."""
        for solver in self._solvers:
            solver.close()
        self._solvers = []

    def close(self) -> None:
        self.stop()
        if self._pool:
            self._pool.shutdown()
        self.release()

    def _prepare(self, job: CuckooJob) -> None:
        ready = self._solvers[0] if self._solvers else None
        if ready and (ready.edge_bits, ready.cycle) == (job.edge_bits, job.cycle):
            return
        self.release()
        limit = self._memory_limit_bytes
        graphs, threads = share_out(self._threads, job.edge_bits, job.cycle, limit)
        if self._graphs_at_once is not None:
            graphs = self._graphs_at_once
            threads = self._threads // graphs
        self._solvers = [
            Solver(job.edge_bits, limit // graphs, job.cycle, threads) for _ in range(graphs)
        ]
        self._places = place(graphs, threads, self._nodes)

    def _solve_each(self, job: CuckooJob, nonces: range) -> list[list[CuckooSolution] | None]:
        if self._pool is None:
            return [self._solvers[0].solve(job, nonces[0])]
        tasks = [
            self._pool.submit(_solve_at, where, solver, job, nonce)
            for where, solver, nonce in zip(self._places, self._solvers, nonces, strict=False)
        ]
        return [task.result() for task in tasks]


def _solve_at(
    where: Processors | None, solver: Solver, job: CuckooJob, nonce: int
) -> list[CuckooSolution] | None:
    """On these processors, as are the threads that the solver starts."""
    if where:
        os.sched_setaffinity(0, where)
    return solver.solve(job, nonce)
