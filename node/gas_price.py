"""The gas price that the market asks: what has been enough in the newest blocks.

Endorphin has no fixed price (whitepaper 7.1): who pays more per gas runs first. The suggestion is
a percentile of the lowest prices of recent blocks, and where blocks are full also more than the
cheapest that waits.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.spec.types import Block, Header
from node.store import ChainStore

BLOCKS = 20
#: Of each block so many of its lowest prices count, as in other nodes.
SAMPLES = 3
PERCENTILE = 60


@dataclass
class GasPriceOracle:
    """Remembers its answer for the head it was made at. ``minimum_wei`` is the pool's own."""

    store: ChainStore
    minimum_wei: int
    _head: bytes = b""
    _suggested: int = 0

    def suggest(self) -> int:
        """Wei per gas. Without transactions in recent blocks: the least that is taken."""
        head = self.store.head_header()
        if self._head != head.hash():
            prices = sorted(self._sample(head))
            place = (len(prices) - 1) * PERCENTILE // 100
            found = prices[place] if prices else self.minimum_wei
            self._head, self._suggested = head.hash(), max(found, self.minimum_wei)
        return self._suggested

    def _sample(self, head: Header) -> list[int]:
        prices: list[int] = []
        block_hash = head.hash()
        for _ in range(BLOCKS):
            block = self.store.block(block_hash)
            if block is None:
                break
            prices += _lowest(block)
            block_hash = block.header.parent_hash
        return prices


def _lowest(block: Block) -> list[int]:
    """An empty block says nothing."""
    return sorted(t.gas_price for t in block.transactions)[:SAMPLES]
