"""Cuckaroo the slow and obvious way: numpy hashing, plain Python cycle search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drivers.base import CuckooJob
from drivers.kernels.graphs import keys_of

Words = NDArray[np.uint64]


def edge_words(job: CuckooJob, nonces: range) -> Words:
    """Words of all edges of each nonce's graph, shape (graphs, edges)."""
    blocks = np.arange(2**job.edge_bits // 64, dtype=np.uint64) * np.uint64(64)
    keys = np.array([keys_of(job.header, n) for n in nonces], dtype=np.uint64)
    state = [np.repeat(keys[:, i : i + 1], len(blocks), axis=1) for i in range(4)]
    words = np.empty((len(nonces), len(blocks), 64), dtype=np.uint64)
    for i in range(64):
        edge = blocks + np.uint64(i)
        state[3] ^= edge
        _rounds(state, job.rounds[0])
        state[0] ^= edge
        state[2] ^= np.uint64(0xFF)
        _rounds(state, job.rounds[1])
        words[:, :, i] = state[0] ^ state[1] ^ state[2] ^ state[3]
    words[:, :, :63] ^= words[:, :, 63:]
    return words.reshape(len(nonces), -1)


def find_cycles(job: CuckooJob, words: Words) -> set[tuple[int, ...]]:
    """Every simple cycle of ``proof_size`` edges in one graph."""
    mask = np.uint64(2**job.edge_bits - 1)
    us, vs = words & mask, words >> np.uint64(32) & mask
    alive = np.arange(len(words))
    while True:
        kept = alive[_has_mate(us[alive]) & _has_mate(vs[alive])]
        if len(kept) == len(alive):
            break
        alive = kept
    at: dict[tuple[str, int], list[int]] = defaultdict(list)
    ends = {}
    for edge in alive.tolist():
        ends[edge] = (("u", int(us[edge])), ("v", int(vs[edge])))
        for node in ends[edge]:
            at[node].append(edge)
    return {
        tuple(sorted(path))
        for root in ends
        for path in _extend([root], [ends[root][1]], ends[root][0], job.proof_size, at, ends)
    }


def _extend(path, nodes, goal, size, at, ends) -> Iterator[list[int]]:  # type: ignore[no-untyped-def]
    for edge in at[nodes[-1]]:
        if edge <= path[0] or edge == path[-1]:
            continue
        a, b = ends[edge]
        far = b if a == nodes[-1] else a
        if far == goal and len(path) + 1 == size:
            yield [*path, edge]
        elif far != goal and far not in nodes and len(path) + 1 < size:
            yield from _extend([*path, edge], [*nodes, far], goal, size, at, ends)


def _has_mate(nodes: Words) -> NDArray[np.bool_]:
    _, inverse, counts = np.unique(nodes, return_inverse=True, return_counts=True)
    return counts[inverse] > 1


def _rotate(x: Words, bits: int) -> Words:
    return x << np.uint64(bits) | x >> np.uint64(64 - bits)


def _rounds(v: list[Words], count: int) -> None:
    for _ in range(count):
        v[0] += v[1]
        v[2] += v[3]
        v[1] = _rotate(v[1], 13) ^ v[0]
        v[3] = _rotate(v[3], 16) ^ v[2]
        v[0] = _rotate(v[0], 32)
        v[2] += v[1]
        v[0] += v[3]
        v[1] = _rotate(v[1], 17) ^ v[2]
        v[3] = _rotate(v[3], 21) ^ v[0]
        v[2] = _rotate(v[2], 32)
