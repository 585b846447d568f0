"""Difficulty, gas limit, header hashes and block rewards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from node.chains import all_chains, find_chain
from node.spec.chain import Chain
from node.spec.crypto import EMPTY_UNCLES_HASH
from node.spec.difficulty import next_difficulty
from node.spec.gas import next_gas_limit
from node.spec.genesis import genesis_header
from node.spec.rewards import block_reward
from node.spec.trie import MemoryStore
from node.spec.types import Header


def run(data: Any) -> Iterable[Case]:
    for section, check in (
        ("difficulty", _check_difficulty),
        ("gaslimit", _check_gas_limit),
        ("headers", _check_header),
        ("reward", _check_reward),
    ):
        for index, case in enumerate(data.get(section, ())):
            yield judge(f"{section} {index}", partial(check, case))


def chain_of_id(chain_id: int) -> Chain:
    """The network of that id. Cortex gives each id it does not know mainnet's rewards; Bernard
    (42), whose blocks are not mined, has no supply to begin with."""
    for chain in all_chains().values():
        if chain.chain_id == chain_id:
            return chain
    mainnet = replace(find_chain("mainnet"), chain_id=chain_id, mints={})
    return replace(mainnet, initial_supply_wei=0) if chain_id == 42 else mainnet


def _check_difficulty(case: dict[str, Any]) -> Iterator[str]:
    chain = find_chain(case["Network"])
    parent = replace(
        genesis_header(chain.genesis, MemoryStore()),
        number=integer(case["ParentNumber"]),
        timestamp=integer(case["ParentTime"]),
        difficulty=integer(case["ParentDifficulty"]),
        uncles_hash=bytes(32) if case.get("ParentHasUncles") else EMPTY_UNCLES_HASH,
    )
    actual = next_difficulty(chain, integer(case["Time"]), parent)
    yield from differs("difficulty", integer(case["Expected"]), actual)


def _check_gas_limit(case: dict[str, Any]) -> Iterator[str]:
    chain = find_chain(case.get("Network", "mainnet"))
    limit, used = integer(case["ParentGasLimit"]), integer(case["ParentGasUsed"])
    is_right = next_gas_limit(chain, limit, used) == integer(case["GasLimit"])
    yield from differs("gas limit accepted", case["OK"], is_right)


def _check_header(case: dict[str, Any]) -> Iterator[str]:
    encoded = unhex(case["HeaderRLP"])
    header = Header.decode(encoded)
    yield from differs("header", encoded, header.encode())
    yield from differs("seal hash", unhex(case["SealHash"]), header.seal_hash())
    yield from differs("hash", unhex(case["Hash"]), header.hash())


def _check_reward(case: dict[str, Any]) -> Iterator[str]:
    actual = block_reward(chain_of_id(case["ChainID"]), integer(case["Number"]))
    yield from differs("reward", integer(case["Reward"]), actual)
