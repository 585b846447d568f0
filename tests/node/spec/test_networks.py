"""The networks: their genesis, their fork ids, and what they differ in."""

from __future__ import annotations

from dataclasses import fields

import pytest

from node.chains import all_chains, find_chain
from node.spec.chain import Chain
from node.spec.forkid import fork_blocks, fork_id
from node.spec.genesis import genesis_block
from node.spec.rewards import share_rewards
from node.spec.state import State
from node.spec.trie import MemoryStore

GENESIS = {
    "mainnet": "21d6ce908e2d1464bd74bbdbf7249845493cc1ba10460758169b978e187762c1",
    "dolores": "e39f1aace1c91078c97e743bd6b7a692ac215e6f9124599cdcabf0a8c7dfeae5",
}


@pytest.mark.parametrize("name", GENESIS)
def test_published_genesis_hashes(name: str) -> None:
    assert genesis_block(find_chain(name), MemoryStore()).hash().hex() == GENESIS[name]


@pytest.mark.parametrize("name", sorted(all_chains()))
def test_a_genesis_holds_its_accounts_and_nothing_else(name: str) -> None:
    chain, store = find_chain(name), MemoryStore()
    block = genesis_block(chain, store)
    state = State(store, block.header.state_root)
    for address, wei in chain.genesis.alloc.items():
        assert state.get_balance(address) == wei
    assert sum(chain.genesis.alloc.values()) == block.header.supply


@pytest.mark.parametrize(
    ("head", "checksum", "following"),
    [
        (0, "d5d66791", 3_230_000),
        (3_230_000, "6fa05d31", 4_650_000),
        (4_650_000, "75493020", 0),
    ],
)
def test_mainnet_fork_ids(head: int, checksum: str, following: int) -> None:
    forks = fork_blocks(find_chain("mainnet"))
    genesis = bytes.fromhex(GENESIS["mainnet"])
    assert fork_id(genesis, forks, head) == (bytes.fromhex(checksum), following)


def test_networks_are_told_apart_and_unknown_ones_named() -> None:
    chains = all_chains().values()
    for key in ("name", "chain_id"):
        assert len({getattr(chain, key) for chain in chains}) == len(chains)
    with pytest.raises(KeyError, match="mainnet"):
        find_chain("morden")


def test_a_chain_is_parameters_alone() -> None:
    """A network that needed code of its own would be a fork of the rules."""
    assert {type(chain) for chain in all_chains().values()} == {Chain}
    assert all(not callable(getattr(find_chain("farmnet"), f.name)) for f in fields(Chain))


def test_mining_ends_at_the_cap_and_conserves_it() -> None:
    chain = find_chain("farmnet")
    supply = chain.supply_cap_wei - 10**18
    last = share_rewards(chain, 1, supply, [])
    assert (last.miner, last.supply) == (10**18, chain.supply_cap_wei)
    after = share_rewards(chain, 2, last.supply, [1])
    assert (after.miner, after.uncles, after.supply) == (0, (0,), chain.supply_cap_wei)


@pytest.mark.parametrize("uncles", [[], [99], [99, 94]])
def test_the_supply_grows_by_what_is_paid(uncles: list[int]) -> None:
    chain = find_chain("farmnet")
    rewards = share_rewards(chain, 100, 10**21, uncles)
    assert rewards.supply - 10**21 == rewards.miner + sum(rewards.uncles)


def test_one_block_of_mainnet_minted_besides() -> None:
    chain = find_chain("mainnet")
    assert share_rewards(chain, 3_230_000, 2 * 10**26, []).minted == (
        bytes.fromhex("b84041d064397bd8a1037220d996c16410c20f11"),
        41_772_084 * 10**18,
    )
    assert share_rewards(chain, 3_230_001, 2 * 10**26, []).minted is None
