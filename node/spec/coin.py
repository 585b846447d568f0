"""A coin that is mined here while its blocks are made elsewhere: by a node or a pool of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.spec.pow import ProofOfWork

#: Difficulties are ratios of 64-bit numbers: the first 8 bytes of a proof's hash are compared.
HASH_BITS = 64
HIGHEST_HASH = (1 << HASH_BITS) - 1
_REST_BITS = 256 - HASH_BITS


@dataclass(frozen=True, eq=False)
class Coin:
    """A coin of Grin's kind: its nodes and pools speak Grin's stratum.

    A proof's difficulty is floor(weight * 2^64 / first 8 bytes of its hash), where the weight of
    a graph makes up for its size. Source: Grin, core/src/pow/types.rs.
    """

    name: str
    pow: ProofOfWork
    bit_weight: int = 0
    """A graph weighs so much for each of its edge bits; with 0 it weighs 1, whatever its size."""
    fades_at: int | None = None
    """The height from which graphs count a bit less, and one more after each ``fade_blocks``."""
    fade_blocks: int = 1

    def weight(self, height: int) -> int:
        """Of a graph, by the block's height; 0 says that such graphs are no longer taken."""
        if not self.bit_weight:
            return 1
        bits = self.pow.edge_bits
        if self.fades_at is not None and height >= self.fades_at:
            bits -= 1 + (height - self.fades_at) // self.fade_blocks
        return self.bit_weight * max(0, bits)

    def target(self, difficulty: int, height: int) -> int:
        """The greatest 256-bit digest of that difficulty. Raises ValueError for a difficulty below
        1, or where these graphs are worth nothing."""
        weight = self.weight(height)
        if difficulty < 1 or weight < 1:
            raise ValueError(f"no proof has difficulty {difficulty} at a weight of {weight}")
        most = min((weight << HASH_BITS) // difficulty, HIGHEST_HASH)
        return ((most + 1) << _REST_BITS) - 1

    def difficulty(self, edges: Sequence[int], height: int) -> int:
        """Of a proof; at least 1."""
        return self.weighted(self.pow.digest(edges) >> _REST_BITS, height)

    def weighted(self, first: int, height: int) -> int:
        """The difficulty that belongs to the first 8 bytes of a digest."""
        return max(1, min((self.weight(height) << HASH_BITS) // max(1, first), HIGHEST_HASH))
