"""Verification of Cuckaroo and Cuckatoo cycles, in numpy: about 10 ms a proof.

The graph is that of 2^edge_bits edges between two sides of as many nodes. Edges of Cuckaroo
(cortex-protocol §1) are hashed in blocks of 64, the siphash state carried from one to the next, so
all of a block is computed to know one of its edges. Ends of Cuckatoo's (J. Tromp,
github.com/tromp/cuckoo) are hashed one by one, and edges meet where their nodes differ in bit 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from node.spec.crypto import blake2b_256, keccak

Words = NDArray[np.uint64]
#: Siphash rounds of compression and of finalisation.
Rounds = tuple[int, int]

BLOCK_EDGES = 64
_FINAL = np.uint64(0xFF)


class Cycle(StrEnum):
    """How edges are hashed and which of them meet."""

    CUCKAROO = "cuckaroo"
    CUCKATOO = "cuckatoo"


class Verdict(IntEnum):
    """Outcome, numbered as the network's verifier does."""

    OK = 1
    WRONG_LENGTH = 2
    TOO_BIG = 3
    TOO_SMALL = 4
    NON_MATCHING = 5
    BRANCH = 6
    DEAD_END = 7
    SHORT_CYCLE = 8


def graph_header(seal_hash: bytes, nonce: int) -> bytes:
    """The 40 bytes that a graph's keys derive from; the nonce is little-endian here."""
    return seal_hash + nonce.to_bytes(8, "little")


def siphash_keys(header: bytes) -> tuple[int, int, int, int]:
    """The four 64-bit keys of a graph."""
    digest = blake2b_256(header)
    k0, k1, k2, k3 = (int.from_bytes(digest[i : i + 8], "little") for i in range(0, 32, 8))
    return k0, k1, k2, k3


def _rotate(x: Words, bits: int) -> Words:
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


class _Siphash:
    """As many siphash states side by side as there are lanes."""

    def __init__(self, keys: Sequence[int], lanes: int, rounds: Rounds) -> None:
        self._v = [np.full(lanes, key, dtype=np.uint64) for key in keys]
        self._rounds = rounds

    def hash(self, nonces: Words) -> Words:
        """Hash one nonce a lane and keep the state for the next."""
        v = self._v
        v[3] = v[3] ^ nonces
        self._mix(self._rounds[0])
        v[0] = v[0] ^ nonces
        v[2] = v[2] ^ _FINAL
        self._mix(self._rounds[1])
        digest: Words = v[0] ^ v[1] ^ v[2] ^ v[3]
        return digest

    def _mix(self, rounds: int) -> None:
        v0, v1, v2, v3 = self._v
        for _ in range(rounds):
            v0, v2 = v0 + v1, v2 + v3
            v1, v3 = _rotate(v1, 13) ^ v0, _rotate(v3, 16) ^ v2
            v0 = _rotate(v0, 32)
            v2, v0 = v2 + v1, v0 + v3
            v1, v3 = _rotate(v1, 17) ^ v2, _rotate(v3, 21) ^ v0
            v2 = _rotate(v2, 32)
        self._v[:] = v0, v1, v2, v3


def siphash(keys: Sequence[int], nonce: int, rounds: Rounds = (4, 8)) -> int:
    """One hash from fresh keys."""
    return int(_Siphash(keys, 1, rounds).hash(np.array([nonce], dtype=np.uint64))[0])


def edge_words(keys: Sequence[int], edges: Sequence[int], rounds: Rounds = (4, 8)) -> Words:
    """The 64-bit word of each edge; its endpoints are the low bits of its halves."""
    wanted = np.array(edges, dtype=np.uint64)
    first = wanted & ~np.uint64(BLOCK_EDGES - 1)
    state = _Siphash(keys, len(wanted), rounds)
    hashes = [state.hash(first + np.uint64(i)) for i in range(BLOCK_EDGES)]
    offsets = (wanted - first).astype(np.intp)
    words = np.stack(hashes)[offsets, np.arange(len(wanted))]
    return np.where(offsets == BLOCK_EDGES - 1, words, words ^ hashes[-1])


def _hash_ends(keys: Sequence[int], edges: Sequence[int], side: int, rounds: Rounds) -> Words:
    """One end of each of Cuckatoo's edges, before the mask."""
    numbers = np.uint64(2) * np.array(edges, dtype=np.uint64) + np.uint64(side)
    return _Siphash(keys, len(edges), rounds).hash(numbers)


def endpoints(words: Words, edge_bits: int) -> tuple[list[int], list[int]]:
    """The nodes of edges on either side."""
    mask = np.uint64((1 << edge_bits) - 1)
    return (words & mask).tolist(), ((words >> np.uint64(32)) & mask).tolist()


def verify(
    header: bytes,
    edges: Sequence[int],
    edge_bits: int = 30,
    rounds: Rounds = (4, 8),
    proof_size: int = 42,
    cycle: Cycle = Cycle.CUCKAROO,
) -> Verdict:
    """Judge a cycle of the graph whose keys are those of ``header``, nonce and all
    (`graph_header` for Cortex)."""
    if len(edges) != proof_size:
        return Verdict.WRONG_LENGTH
    for index, edge in enumerate(edges):
        if not 0 <= edge < 1 << edge_bits:
            return Verdict.TOO_BIG
        if index and edge <= edges[index - 1]:
            return Verdict.TOO_SMALL
    keys = siphash_keys(header)
    if cycle is Cycle.CUCKAROO:
        us, vs = endpoints(edge_words(keys, edges, rounds), edge_bits)
    else:
        us, vs = (endpoints(_hash_ends(keys, edges, side, rounds), edge_bits)[0] for side in (0, 1))
    nodes = [node for pair in zip(us, vs, strict=True) for node in pair]
    return _walk(nodes, int(cycle is Cycle.CUCKATOO))


def _walk(nodes: list[int], pair: int) -> Verdict:
    """Follow the cycle; ``nodes`` has the two ends of each edge at 2i and 2i + 1. Ends meet where
    one xored with ``pair`` is the other."""
    rest = pair * (len(nodes) // 4) % 2
    if _xor(nodes[::2]) != rest or _xor(nodes[1::2]) != rest:
        return Verdict.NON_MATCHING
    at = steps = 0
    while True:
        place = nodes[at] | pair
        same = [k for k in range(at % 2, len(nodes), 2) if nodes[k] | pair == place and k != at]
        if len(same) > 1:
            return Verdict.BRANCH
        if not same or nodes[same[0]] ^ nodes[at] != pair:
            return Verdict.DEAD_END
        at, steps = same[0] ^ 1, steps + 1
        if at == 0:
            return Verdict.OK if 2 * steps == len(nodes) else Verdict.SHORT_CYCLE


def _xor(nodes: list[int]) -> int:
    result = 0
    for node in nodes:
        result ^= node
    return result


def solution_bytes(edges: Sequence[int]) -> bytes:
    """Edges as miners submit them: 32 bits each, big-endian."""
    return b"".join(edge.to_bytes(4, "big") for edge in edges)


def solution_edges(data: bytes) -> tuple[int, ...]:
    """The edges of `solution_bytes`; raises ValueError where a part of one is left over."""
    if len(data) % 4:
        raise ValueError("a solution is a row of edges of 4 bytes each")
    return tuple(int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data), 4))


def solution_hash(edges: Sequence[int]) -> bytes:
    """What is compared with the target, as a big-endian integer."""
    return keccak(solution_bytes(edges))


def target(difficulty: int) -> int:
    """The greatest solution hash that a difficulty allows; it may be 2^256 itself."""
    return (1 << 256) // difficulty
