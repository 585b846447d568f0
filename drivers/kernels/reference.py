"""The proof of work the slow and obvious way. Every other solver is checked against this one:
edges left by each trimming round, and the same cycles in the same order.

Nothing is clever here: all edges are hashed by numpy, trimmed by counting, and the cycles of
what is left are found by depth-first search in plain Python. 2^20 edges take seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.base import CuckooJob
from drivers.kernels.graphs import BLOCK_EDGES, Cycle
from drivers.kernels.jobs import keys_of_job

Words = NDArray[np.uint64]
Nodes = NDArray[np.uint32]
Numbers = NDArray[np.int64]
Node = tuple[str, int]
"""A side, ``u`` or ``v``, and a node's number there."""
BATCH_EDGES = 1 << 20
"""About as many are hashed side by side."""


@dataclass(frozen=True)
class Graph:
    """A graph as the nodes ``u`` and ``v`` of its edges, by number of edge."""

    job: CuckooJob
    u: Nodes
    v: Nodes

    def survivors(self, rounds: int) -> tuple[int, ...]:
        """Edges there are, and edges left after each of so many trimming rounds: the first
        drops those that meet no other at u, the second those that meet no other left at v,
        the third is at u again."""
        alive = np.arange(len(self.u))
        counts = [len(alive)]
        for number in range(rounds):
            alive = self._trim(alive, self.v if number % 2 else self.u)
            counts.append(len(alive))
        return tuple(counts)

    def cycles(self) -> list[tuple[int, ...]]:
        """Every cycle of proof_size edges that passes no place twice: each as its edges,
        ascending, and the cycles in the order of their edges."""
        core = self._core()
        search = _Search(self.job, core.tolist(), self.u[core].tolist(), self.v[core].tolist())
        return sorted(search.cycles())

    def _core(self) -> Numbers:
        """Edges that trimming without end would leave."""
        alive = np.arange(len(self.u))
        while True:
            kept = self._trim(self._trim(alive, self.u), self.v)
            if len(kept) == len(alive):
                return kept
            alive = kept

    def _trim(self, alive: Numbers, nodes: Nodes) -> Numbers:
        pair = self.job.cycle.pair
        there, count = np.unique(nodes[alive], return_counts=True)
        wanted = nodes[alive] ^ np.uint32(pair)
        place = np.searchsorted(there, wanted).clip(max=len(there) - 1)
        met = np.where(there[place] == wanted, count[place], 0) if len(there) else count
        return alive[met > (0 if pair else 1)]


def hash_graph(job: CuckooJob, nonce: int) -> Graph:
    """Raises `BadArgument` for a bad job."""
    return next(hash_graphs(job, [nonce]))


def hash_graphs(job: CuckooJob, nonces: Iterable[int]) -> Iterator[Graph]:
    """The graphs of several nonces, small ones hashed many at a time."""
    waiting = list(nonces)
    batch = max(1, BATCH_EDGES >> job.edge_bits)
    for first in range(0, len(waiting), batch):
        keys = [keys_of_job(job, nonce) for nonce in waiting[first : first + batch]]
        u, v = _hash_ends(job, keys, np.arange(2**job.edge_bits, dtype=np.uint64))
        yield from (Graph(job, *ends) for ends in zip(u, v, strict=True))


def verify(job: CuckooJob, nonce: int, edges: Sequence[int]) -> bool:
    """Whether ``edges``, ascending, are a cycle of proof_size edges that passes no place
    twice. Raises `BadArgument` for a bad job."""
    keys = [keys_of_job(job, nonce)]
    in_range = all(0 <= edge < 2**job.edge_bits for edge in edges)
    if len(edges) != job.proof_size or not in_range or list(edges) != sorted(set(edges)):
        return False
    u, v = _hash_ends(job, keys, np.array(edges, dtype=np.uint64))
    return Graph(job, u[0], v[0]).cycles() == [tuple(range(job.proof_size))]


class _Search:
    """Depth-first search for cycles among some edges."""

    def __init__(self, job: CuckooJob, edges: list[int], u: list[int], v: list[int]) -> None:
        self._pair = job.cycle.pair
        self._length = job.proof_size
        self._edges = edges
        sides = zip(edges, u, v, strict=True)
        self._ends: dict[int, tuple[Node, Node]] = {e: (("u", a), ("v", b)) for e, a, b in sides}
        self._at: dict[Node, list[int]] = defaultdict(list)
        for edge, ends in self._ends.items():
            for node in ends:
                self._at[node].append(edge)

    def cycles(self) -> Iterator[tuple[int, ...]]:
        """Each once: from its least edge on, away from that edge's u."""
        for root in self._edges:
            start, end = self._ends[root]
            yield from self._extend([root], end, {self._place(start), self._place(end)})

    def _extend(self, path: list[int], end: Node, passed: set[Node]) -> Iterator[tuple[int, ...]]:
        """Cycles that begin with ``path``, which has come to ``end``."""
        start = self._ends[path[0]][0]
        for edge in self._at[self._mate(end)]:
            if edge <= path[0] or edge == path[-1]:
                continue
            u, v = self._ends[edge]
            far = v if end[0] == "u" else u
            if far == self._mate(start) and len(path) + 1 == self._length:
                yield tuple(sorted([*path, edge]))
            elif len(path) + 1 < self._length and self._place(far) not in passed:
                yield from self._extend([*path, edge], far, passed | {self._place(far)})

    def _mate(self, node: Node) -> Node:
        """The node that an edge has to have to meet one with this node."""
        return node[0], node[1] ^ self._pair

    def _place(self, node: Node) -> Node:
        """Where edges meet: a node or, in Cuckatoo, a pair of nodes."""
        return node[0], node[1] | self._pair


def _hash_ends(job: CuckooJob, keys: list[tuple[int, ...]], edges: Words) -> tuple[Nodes, Nodes]:
    """Nodes u and v of ``edges`` under each of the ``keys``, each of shape (keys, edges)."""
    mask = np.uint64(2**job.edge_bits - 1)
    if job.cycle is Cycle.CUCKAROO:
        words = _hash_edges(job, keys, edges)
        u, v = words, words >> np.uint64(32)
    else:
        u, v = (_hash_each(job, keys, 2 * edges + np.uint64(side)) for side in (0, 1))
    return (u & mask).astype(np.uint32), (v & mask).astype(np.uint32)


def _hash_each(job: CuckooJob, keys: list[tuple[int, ...]], inputs: Words) -> Words:
    """Words of ``inputs``, each hashed by itself."""
    parts = np.array_split(inputs, max(1, inputs.size >> 16))
    return np.concatenate([_Siphash(job, keys, len(part)).hash(part) for part in parts], axis=1)


def _hash_edges(job: CuckooJob, keys: list[tuple[int, ...]], edges: Words) -> Words:
    """Words of Cuckaroo's edges, for which all of their blocks are hashed."""
    blocks, block = np.unique(edges // np.uint64(BLOCK_EDGES), return_inverse=True)
    siphash = _Siphash(job, keys, len(blocks))
    words = np.empty((len(keys), len(blocks), BLOCK_EDGES), dtype=np.uint64)
    for i in range(BLOCK_EDGES):
        words[:, :, i] = siphash.hash(blocks * np.uint64(BLOCK_EDGES) + np.uint64(i))
    words[:, :, :-1] ^= words[:, :, -1:]
    chosen: Words = words[:, block, edges % np.uint64(BLOCK_EDGES)]
    return chosen


class _Siphash:
    """Siphash states side by side, of shape (keys, lanes)."""

    def __init__(self, job: CuckooJob, keys: list[tuple[int, ...]], lanes: int) -> None:
        columns = np.array(keys, dtype=np.uint64).T[:, :, None]
        self._v = [np.repeat(column, lanes, axis=1) for column in columns]
        self._rounds = job.rounds

    def hash(self, inputs: Words) -> Words:
        """Hash one input a lane and keep the state for the next."""
        self._v[3] ^= inputs
        self._mix(self._rounds[0])
        self._v[0] ^= inputs
        self._v[2] ^= np.uint64(0xFF)
        self._mix(self._rounds[1])
        v0, v1, v2, v3 = self._v
        digest: Words = v0 ^ v1 ^ v2 ^ v3
        return digest

    def _mix(self, rounds: int) -> None:
        v0, v1, v2, v3 = self._v
        for _ in range(rounds):
            v0 += v1
            v2 += v3
            v1 = _rotate(v1, 13) ^ v0
            v3 = _rotate(v3, 16) ^ v2
            v0 = _rotate(v0, 32)
            v2 += v1
            v0 += v3
            v1 = _rotate(v1, 17) ^ v2
            v3 = _rotate(v3, 21) ^ v0
            v2 = _rotate(v2, 32)
        self._v = [v0, v1, v2, v3]


def _rotate(x: Words, bits: int) -> Words:
    return x << np.uint64(bits) | x >> np.uint64(64 - bits)
