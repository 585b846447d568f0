"""The proof-of-work of a header."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.spec import cuckoo
from node.spec.chain import Chain
from node.spec.types import Header

#: (graph header of 40 bytes, edges, edge bits, rounds) to whether they are a cycle.
CycleVerifier = Callable[[bytes, Sequence[int], int, cuckoo.Rounds], bool]


def is_cycle(header: bytes, edges: Sequence[int], edge_bits: int, rounds: cuckoo.Rounds) -> bool:
    """The reference verifier; a node may put a faster one in its place."""
    return cuckoo.verify(header, edges, edge_bits, rounds) is cuckoo.Verdict.OK


def meets_target(edges: Sequence[int], difficulty: int) -> bool:
    digest = int.from_bytes(cuckoo.solution_hash(edges), "big")
    return difficulty > 0 and digest <= cuckoo.target(difficulty)


def is_sealed(chain: Chain, header: Header, verify_cycle: CycleVerifier = is_cycle) -> bool:
    """Whether a header's nonce and solution prove the work that its difficulty asks for."""
    if len(header.solution) != chain.proof_size:
        return False
    if not meets_target(header.solution, header.difficulty):
        return False
    graph = cuckoo.graph_header(header.seal_hash(), header.nonce_int())
    return verify_cycle(graph, header.solution, chain.edge_bits, chain.rounds)
