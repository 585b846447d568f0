"""What a miner earned on the canonical chain, and how fast blocks come."""

from __future__ import annotations

from dataclasses import dataclass

from node.spec.chain import Chain
from node.spec.crypto import EMPTY_UNCLES_HASH
from node.spec.rewards import share_rewards
from node.spec.types import Header
from node.store import ChainStore

#: Looking back costs about 50 µs a block.
WINDOW_LIMIT = 10_000


@dataclass(frozen=True)
class Earnings:
    """Of the newest ``blocks`` blocks."""

    blocks: int
    found: int
    """Of these by the miner itself."""
    earned_wei: int
    """Rewards of blocks, nephews and uncles; not fees."""
    block_seconds: float | None
    """Mean time of a block; None where there is no second one."""


def count_earnings(chain: Chain, store: ChainStore, miner: bytes, window: int) -> Earnings:
    """Walk back from the head over at most ``window`` blocks, genesis left out."""
    head = store.head_header()
    header = oldest = head
    found = earned = blocks = 0
    while header.number and blocks < min(window, WINDOW_LIMIT):
        parent = store.header(header.parent_hash)
        if parent is None:
            break
        earned += _earned(chain, store, miner, header, parent)
        found += header.coinbase == miner
        oldest, header, blocks = header, parent, blocks + 1
    seconds = (head.timestamp - oldest.timestamp) / (blocks - 1) if blocks > 1 else None
    return Earnings(blocks, found, earned, seconds)


def _earned(chain: Chain, store: ChainStore, miner: bytes, header: Header, parent: Header) -> int:
    listed = _uncles(store, header)
    rewards = share_rewards(chain, header.number, parent.supply, [u.number for u in listed])
    earned = rewards.miner if header.coinbase == miner else 0
    pairs = zip(listed, rewards.uncles, strict=True)
    return earned + sum(wei for uncle, wei in pairs if uncle.coinbase == miner)


def _uncles(store: ChainStore, header: Header) -> tuple[Header, ...]:
    """Without reading the block where the header says that there are none."""
    if header.uncles_hash == EMPTY_UNCLES_HASH:
        return ()
    block = store.block(header.hash())
    return block.uncles if block else ()
