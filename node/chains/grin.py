"""Grin and its kin: mined here, their blocks made by nodes of their own.

A name for each graph that was ever taken: Cuckaroo29 by Grin in its first half-year, Cuckatoo31
by Grin until its weight had sunk to nothing (31 weeks after the first year) and by others without
that end, Cuckatoo32 by Grin today. Sources: Grin, core/src/consensus.rs and core/src/pow.
"""

from __future__ import annotations

from node.spec.coin import Coin
from node.spec.cuckoo import Cycle
from node.spec.pow import ProofHash, ProofOfWork

#: The lightest of Grin's graphs.
BASE_EDGE_BITS = 24
WEEK_BLOCKS = 7 * 24 * 60
YEAR_BLOCKS = 52 * WEEK_BLOCKS


def proof_of_work(edge_bits: int, cycle: Cycle = Cycle.CUCKATOO) -> ProofOfWork:
    """Grin's, on graphs of that size."""
    return ProofOfWork(
        edge_bits,
        rounds=(2, 4),
        cycle=cycle,
        nonce_order="big",
        proof_hash=ProofHash.BLAKE2B_PACKED,
    )


def _bit_weight(edge_bits: int) -> int:
    return 2 << (edge_bits - BASE_EDGE_BITS)


GRIN = Coin("grin", proof_of_work(32), _bit_weight(32))
CUCKATOO31 = Coin("cuckatoo31", proof_of_work(31), _bit_weight(31))
GRIN_CUCKATOO31 = Coin(
    "grin-cuckatoo31", proof_of_work(31), _bit_weight(31), YEAR_BLOCKS, WEEK_BLOCKS
)
#: Its scale against the primary graphs stood in each header; shares are counted without it.
GRIN_CUCKAROO29 = Coin("grin-cuckaroo29", proof_of_work(29, Cycle.CUCKAROO))

COINS = {coin.name: coin for coin in (GRIN, CUCKATOO31, GRIN_CUCKATOO31, GRIN_CUCKAROO29)}
