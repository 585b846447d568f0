"""How many coins there will be: by the rules that nodes enforce, and as the whitepaper states.

Amounts are wei. A year is as many blocks as the target time of a block gives; four years of
Cortex are one halving. Sources: cortex-protocol §2, whitepaper 7.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from node.spec.chain import Chain
from node.spec.header import MAX_UNCLES
from node.spec.rewards import block_reward

YEAR_SECONDS = 365 * 24 * 3600
COIN = 10**18
#: Cortex takes 15 s a block where the difficulty's divisor is 9 s.
BLOCK_PER_DIVISOR = Fraction(15, 9)

STATED_TOTAL_WEI = 299_792_458 * COIN
STATED_MINED_WEI = 150_000_000 * COIN
STATED_ERA_YEARS = 4


@dataclass(frozen=True)
class Year:
    """What a year mints. ``mined_wei`` is without uncles, ``most_wei`` with two of the highest
    reward in each block; what really comes lies between. None: the whitepaper says nothing."""

    number: int
    first_block: int
    last_block: int
    reward_wei: int
    """Of its first block."""
    mined_wei: int
    most_wei: int
    supply_wei: int
    """At its end, without uncles."""
    most_supply_wei: int
    stated_mined_wei: int | None
    stated_supply_wei: int | None


def block_seconds(chain: Chain) -> Fraction:
    """The time of a block for which the network is made."""
    return chain.difficulty_divisor_seconds * BLOCK_PER_DIVISOR


def blocks_per_year(chain: Chain) -> int:
    return int(YEAR_SECONDS / block_seconds(chain))


def most_with_uncles(reward_wei: int) -> int:
    """The most that one block mints: two uncles of its parent's height."""
    return reward_wei + MAX_UNCLES * (reward_wei * 7 // 8 + reward_wei // 32)


def list_years(chain: Chain, count: int) -> Iterator[Year]:
    """The first ``count`` years from genesis."""
    supply = most_supply = chain.initial_supply_wei
    year_blocks = blocks_per_year(chain)
    for number in range(1, count + 1):
        first, last = (number - 1) * year_blocks + 1, number * year_blocks
        mined = mint(chain, first, last, supply, with_uncles=False)
        most = mint(chain, first, last, most_supply, with_uncles=True)
        supply, most_supply = supply + mined, most_supply + most
        yield Year(
            number=number,
            first_block=first,
            last_block=last,
            reward_wei=block_reward(chain, first),
            mined_wei=mined,
            most_wei=most,
            supply_wei=supply,
            most_supply_wei=most_supply,
            stated_mined_wei=stated_in(chain, number),
            stated_supply_wei=stated_at_end(chain, number),
        )


def mint(chain: Chain, first: int, last: int, supply_wei: int, *, with_uncles: bool) -> int:
    """Wei that blocks ``first`` to ``last`` mint; the cap ends it."""
    minted, era_blocks = 0, chain.reward_halving_blocks
    while first <= last:
        end = min(last, (first // era_blocks + 1) * era_blocks - 1)
        reward = block_reward(chain, first)
        minted += (most_with_uncles(reward) if with_uncles else reward) * (end - first + 1)
        first = end + 1
    return min(minted, chain.supply_cap_wei - supply_wei)


def is_stated(chain: Chain) -> bool:
    """Whether the whitepaper speaks of this network's coin."""
    return chain.supply_cap_wei == STATED_TOTAL_WEI


def stated_in(chain: Chain, year: int) -> int | None:
    """Wei that the whitepaper has mined in a year: half of 150 million coins in the first four,
    then half as much each four."""
    if not is_stated(chain):
        return None
    era = (year - 1) // STATED_ERA_YEARS
    return (STATED_MINED_WEI >> (era + 1)) // STATED_ERA_YEARS


def stated_at_end(chain: Chain, year: int) -> int | None:
    if not is_stated(chain):
        return None
    mined = sum(stated_in(chain, each) or 0 for each in range(1, year + 1))
    return STATED_TOTAL_WEI - STATED_MINED_WEI + mined
