"""The machine's own floor for a Cuckaroo graph: hashing every edge once, and the memory traffic
of trimming them.

The traffic is that of lists of 8 bytes an edge: what is left at the start of each round sums to
2.83 times the edges (1, .632, .296, .175 …), each written once and read once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ctypes import POINTER, byref, c_uint64, cast
from dataclasses import dataclass

import numpy as np

from drivers.base import CuckooJob
from drivers.cpu import library
from drivers.cpu.cuckoo import graph_of

HASHED_EDGES = 1 << 22
TOUCHED_BYTES = 256 << 20
"""Far beyond any cache."""
REPEATS = 5
LISTED_EDGES = 2.83
EDGE_BYTES = 8


@dataclass(frozen=True)
class Floor:
    """What one thread of this machine does at best."""

    hash_nanoseconds: float
    """An edge, by the library's best kernel."""
    read_bytes_per_second: float
    store_bytes_per_second: float
    """Stores that go past the caches."""

    def hashing_seconds(self, edge_bits: int) -> float:
        return self.hash_nanoseconds * 1e-9 * (1 << edge_bits)

    def traffic_seconds(self, edge_bits: int) -> float:
        listed = LISTED_EDGES * EDGE_BYTES * (1 << edge_bits)
        return listed / self.read_bytes_per_second + listed / self.store_bytes_per_second

    def seconds(self, edge_bits: int) -> float:
        """Hashing and traffic one after the other: one thread can hardly overlap them."""
        return self.hashing_seconds(edge_bits) + self.traffic_seconds(edge_bits)


def measure(job: CuckooJob) -> Floor:
    """Take the best of `REPEATS` of each, in CPU time of this thread; about two seconds and
    `TOUCHED_BYTES` of memory. Only the job's siphash rounds matter."""
    native = library.load()
    graph = graph_of(job, 0)
    memory = np.zeros(TOUCHED_BYTES // 8 + 8, np.uint64)
    words = memory[(-memory.ctypes.data // 8) % 8 :][: TOUCHED_BYTES // 8]
    address = cast(words.ctypes.data, POINTER(c_uint64))
    store = _least_seconds(lambda: native.farmcpu_floor_store(address, len(words), 1))
    read = _least_seconds(lambda: native.farmcpu_floor_read(address, len(words)))
    hashing = _least_seconds(lambda: native.farmcpu_floor_hash(byref(graph), HASHED_EDGES))
    return Floor(hashing / HASHED_EDGES * 1e9, words.nbytes / read, words.nbytes / store)


def _least_seconds(work: Callable[[], object]) -> float:
    def once() -> float:
        started = time.thread_time()
        work()
        return time.thread_time() - started

    return min(once() for _ in range(REPEATS))
