"""What a block mints, and the supply that its header states (cortex-protocol §2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.spec.chain import Chain


@dataclass(frozen=True)
class Rewards:
    """Wei to the miner, to each uncle's miner, and the supply after the block."""

    miner: int
    uncles: tuple[int, ...]
    supply: int
    minted: tuple[bytes, int] | None = None
    """An account and what it is given besides, outside the supply."""


def block_reward(chain: Chain, number: int) -> int:
    """Wei for a block, before the cap on the supply."""
    return chain.reward_wei >> (number // chain.reward_halving_blocks)


def highest_supply(chain: Chain, number: int, parent_supply: int, has_uncles: bool) -> int:
    """The most that a header may state; only this is checked of it."""
    reward = block_reward(chain, number)
    if not has_uncles:
        return parent_supply + reward
    return parent_supply + reward + 2 * (reward * 7 // 8 + reward // 32)


def share_rewards(
    chain: Chain, number: int, parent_supply: int, uncle_numbers: Sequence[int]
) -> Rewards:
    """Who gets what for block ``number``. The cap cuts the last reward and ends the uncles'."""
    cap = chain.supply_cap_wei
    supply = min(max(parent_supply, chain.initial_supply_wei), cap)
    reward = min(block_reward(chain, number), cap - supply)
    if reward == 0:
        return Rewards(0, (0,) * len(uncle_numbers), supply)
    supply += reward
    miner, uncles = reward, [0] * len(uncle_numbers)
    for index, uncle in enumerate(uncle_numbers):
        share = (8 + uncle - number) * reward // 8
        if supply + share > cap:
            break
        uncles[index], supply = share, supply + share
        if supply + reward // 32 > cap:
            break
        miner, supply = miner + reward // 32, supply + reward // 32
    return Rewards(miner, tuple(uncles), supply, chain.mints.get(number))
