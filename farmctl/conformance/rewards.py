"""Who is given what for a block, and the supply after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge
from farmctl.conformance.consensus_vectors import chain_of_id
from node.spec.rewards import share_rewards


def run(data: Any) -> Iterable[Case]:
    for index, case in enumerate(data["cases"]):
        yield judge(f"case {index}, block {case.get('Number')}", partial(_check, case))


def _check(case: dict[str, Any]) -> Iterator[str]:
    uncles = [integer(number) for number in case.get("UncleNumbers") or ()]
    number, supply = integer(case["Number"]), integer(case["ParentSupply"])
    rewards = share_rewards(chain_of_id(case["ChainID"]), number, supply, uncles)
    yield from differs("supply", integer(case["Supply"]), rewards.supply)
    yield from differs("miner", integer(case["Miner"]), rewards.miner)
    expected = tuple(integer(wei) for wei in case.get("UncleRewards") or ())
    yield from differs("uncles", expected, rewards.uncles)
    minted = rewards.minted[1] if rewards.minted else 0
    yield from differs("extra", integer(case.get("Extra", 0)), minted)
