"""What a coin's proof of work is: from a header to a graph, and from a cycle to a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from node.spec.crypto import blake2b_256
from node.spec.cuckoo import Cycle, Rounds, Verdict, solution_hash, verify

NONCE_BYTES = 8


class ProofHash(StrEnum):
    """Of which bytes of a cycle the hash is taken that is compared with a target."""

    KECCAK_WORDS = "keccak_words"
    """Keccak-256 of 4 bytes an edge, big-endian: Cortex."""
    BLAKE2B_PACKED = "blake2b_packed"
    """Blake2b-256 of edge_bits bits an edge, little-endian, one after another: Grin."""


@dataclass(frozen=True)
class ProofOfWork:
    """A graph's keys are those of header ‖ nonce, the nonce of 8 bytes in ``nonce_order``."""

    edge_bits: int
    rounds: Rounds = (4, 8)
    """Siphash rounds: compression, finalisation."""
    cycle: Cycle = Cycle.CUCKAROO
    nonce_order: Literal["little", "big"] = "little"
    proof_hash: ProofHash = ProofHash.KECCAK_WORDS
    proof_size: int = 42

    def graph_header(self, header: bytes, nonce: int) -> bytes:
        """What the graph's keys derive from."""
        return header + nonce.to_bytes(NONCE_BYTES, self.nonce_order)

    def digest(self, edges: Sequence[int]) -> int:
        """The number that must not exceed the target, of 256 bits."""
        if self.proof_hash is ProofHash.KECCAK_WORDS:
            return int.from_bytes(solution_hash(edges), "big")
        return int.from_bytes(blake2b_256(pack_edges(edges, self.edge_bits)), "big")

    def is_proof(self, edges: Sequence[int]) -> bool:
        """Whether edges are as many and as large as those of a proof."""
        return len(edges) == self.proof_size and all(0 <= e < 1 << self.edge_bits for e in edges)

    def verify(self, header: bytes, nonce: int, edges: Sequence[int]) -> Verdict:
        """Judge a cycle of the graph of ``header`` and ``nonce``."""
        graph = self.graph_header(header, nonce)
        return verify(graph, edges, self.edge_bits, self.rounds, self.proof_size, self.cycle)


#: (proof of work, header, nonce, edges) to whether the edges are a cycle of that graph.
ProofVerifier = Callable[[ProofOfWork, bytes, int, Sequence[int]], bool]


def pack_edges(edges: Sequence[int], edge_bits: int) -> bytes:
    """Edge i in the bits from i * edge_bits on, the whole as little-endian bytes. Source: Grin,
    core/src/pow/types.rs."""
    packed = sum(edge << i * edge_bits for i, edge in enumerate(edges))
    return packed.to_bytes((len(edges) * edge_bits + 7) // 8, "little")
