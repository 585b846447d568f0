"""Issuance by year: against the block rule itself, and against the whitepaper's own figures."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from node.chains.cortex import MAINNET
from node.chains.farmnet import FARMNET
from node.issuance import (
    COIN,
    STATED_MINED_WEI,
    STATED_TOTAL_WEI,
    blocks_per_year,
    list_years,
    mint,
    most_with_uncles,
)
from node.spec.rewards import highest_supply, share_rewards

#: Halvings come quickly here, and so does the cap.
QUICK = replace(
    MAINNET,
    reward_halving_blocks=100,
    initial_supply_wei=5 * COIN,
    supply_cap_wei=1_200 * COIN,
)


@pytest.mark.parametrize("uncles", [0, 2])
@pytest.mark.parametrize(("first", "last"), [(1, 99), (1, 100), (95, 310), (1, 800)])
def test_what_is_minted_is_what_the_blocks_pay(uncles: int, first: int, last: int) -> None:
    start = supply = QUICK.initial_supply_wei
    for number in range(first, last + 1):
        supply = share_rewards(QUICK, number, supply, [number - 1] * uncles).supply
    found = mint(QUICK, first, last, start, with_uncles=uncles > 0)
    # At the cap the rule gives up the uncles that would pass it; the sum here fills it.
    room = 0 if supply < QUICK.supply_cap_wei - 20 * COIN else 20 * COIN
    assert abs(start + found - supply) <= room


def test_a_block_cannot_state_more_than_the_most_with_uncles() -> None:
    reward = MAINNET.reward_wei
    assert highest_supply(MAINNET, 1, 0, True) == most_with_uncles(reward)


def test_cortex_as_implemented() -> None:
    years = list(list_years(MAINNET, 8))
    assert blocks_per_year(MAINNET) * 4 == MAINNET.reward_halving_blocks
    assert years[0].mined_wei == 14_716_800 * COIN
    assert years[4].reward_wei == 35 * COIN // 10
    # The first block of an era already has its reward, so the era before is one block short.
    assert years[3].supply_wei == (149_792_458 + 7 * 8_409_600) * COIN - 35 * COIN // 10
    assert years[7].most_supply_wei == MAINNET.supply_cap_wei


def test_cortex_never_reaches_its_cap_without_uncles() -> None:
    last = list(list_years(MAINNET, 300))[-1]
    assert last.supply_wei < (149_792_458 + 117_734_400) * COIN
    assert last.supply_wei > (149_792_458 + 117_734_000) * COIN


def test_the_whitepaper_mines_75_million_in_four_years_and_half_each_four() -> None:
    years = list(list_years(MAINNET, 80))
    stated = [year.stated_mined_wei or 0 for year in years]
    assert sum(stated[:4]) == 75_000_000 * COIN
    assert sum(stated[4:8]) * 2 == 75_000_000 * COIN
    assert years[0].stated_supply_wei == (149_792_458 + 18_750_000) * COIN
    assert 0 < STATED_MINED_WEI - sum(stated) < 200 * COIN
    final = years[-1].stated_supply_wei
    assert final is not None and STATED_TOTAL_WEI - final < 200 * COIN


def test_the_whitepaper_says_nothing_of_the_farm_s_own_coin() -> None:
    (year,) = islice(list_years(FARMNET, 1), 1)
    assert year.stated_mined_wei is None and year.stated_supply_wei is None
    assert year.supply_wei == year.mined_wei > 0
