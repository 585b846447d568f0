"""What a node suggests to pay, what it earned, and who goes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.core import Node
from node.rpc.errors import InvalidParams
from node.rpc.methods.economics import economics, gas_price
from tests.node.workshop import (
    BLOCK_SECONDS,
    CHAIN,
    COIN,
    MINER,
    OTHER_MINER,
    POOR,
    POOR_KEY,
    RICH,
    Clock,
    mine,
    open_node,
    sign,
)


def test_the_suggested_price_follows_the_blocks(node: Node, clock: Clock) -> None:
    assert gas_price(node) == "0x1"
    for nonce, price in enumerate((100, 100, 100, 900)):
        node.send(sign(nonce, price=price))
        mine(node, clock)
    assert gas_price(node) == hex(100)
    for nonce in range(4, 12):
        node.send(sign(nonce, price=700))
        mine(node, clock)
    assert gas_price(node) == hex(700)
    mine(node, clock, 20)  # nobody competes any more
    assert gas_price(node) == "0x1"


def test_a_higher_price_runs_first(node: Node, clock: Clock) -> None:
    node.send(sign(0, POOR, value=COIN))
    mine(node, clock)
    cheap, dear = sign(1, price=5), sign(0, RICH, price=50, key=POOR_KEY)
    node.send(cheap)
    node.send(dear)
    assert mine(node, clock).transactions == (dear, cheap)


def test_a_node_tells_its_rewards_from_those_of_others(
    node: Node, clock: Clock, tmp_path: Path
) -> None:
    mine(node, clock, 3)
    rival = open_node(tmp_path / "rival", clock, OTHER_MINER)
    for number in range(1, 4):
        block = node.store.block(node.store.canonical_hash(number) or b"")
        assert block is not None
        rival.import_block(block)
    node.import_block(mine(rival, clock))
    mine(node, clock)
    found = economics(node)
    assert (found["blocks"], found["found"]) == (5, 4)
    assert int(found["earned"], 16) == 4 * CHAIN.reward_wei == int(found["balance"], 16)
    assert int(found["supply"], 16) == 5 * CHAIN.reward_wei
    assert int(found["left"], 16) == CHAIN.supply_cap_wei - 5 * CHAIN.reward_wei
    assert found["blockSeconds"] == pytest.approx(BLOCK_SECONDS, abs=1)
    assert economics(node, "0x2")["found"] == 1
    rival.close()


def test_an_uncle_s_reward_counts(node: Node, clock: Clock, tmp_path: Path) -> None:
    """The node's own block loses, and the winner names it as an uncle."""
    rival = open_node(tmp_path / "rival", clock, OTHER_MINER)
    ours = mine(node, clock)
    winner = [mine(rival, clock)]
    rival.import_block(ours)
    winner.append(mine(rival, clock))
    for block in winner:
        node.import_block(block)
    assert winner[1].uncles == (ours.header,)
    found = economics(node)
    assert (found["found"], int(found["earned"], 16)) == (0, 7 * CHAIN.reward_wei // 8)
    assert node.state_at(node.head()).get_balance(MINER) == 7 * CHAIN.reward_wei // 8
    rival.close()


def test_a_window_has_bounds(node: Node) -> None:
    for blocks in ("0x0", hex(10_001), "many"):
        with pytest.raises(InvalidParams):
            economics(node, blocks)
