"""The native verifier of cycles in the node's form. A file of its own, because the node's import
process loads it and nothing else of the farm."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.base import CuckooJob
from drivers.cpu import cuckoo


def verify_cycle(
    graph: bytes, edges: Sequence[int], edge_bits: int, rounds: tuple[int, int]
) -> bool:
    """``graph`` is seal hash ‖ LE64 nonce."""
    job = CuckooJob(graph[:32], edge_bits, rounds, len(edges))
    nonce = int.from_bytes(graph[32:], "little")
    return cuckoo.verify(job, nonce, edges) is cuckoo.Proof.OK
