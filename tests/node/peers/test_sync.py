"""Blocks and transactions between real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.peers.network import Member, until
from tests.node.workshop import Clock, sign


async def test_a_new_node_fetches_the_chain_of_its_peer(tmp_path: Path, clock: Clock) -> None:
    async with Member(tmp_path / "a", clock) as old:
        await old.send(sign(0))
        await old.mine(40)
        async with Member(tmp_path / "b", clock, [old.url]) as new:
            await until(lambda: new.node.head() == old.node.head(), "the chain is fetched")
            assert new.node.store.location(sign(0).hash()) is not None


async def test_new_blocks_and_transactions_reach_a_node_behind_another(
    tmp_path: Path, clock: Clock
) -> None:
    async with (
        Member(tmp_path / "a", clock) as first,
        Member(tmp_path / "b", clock, [first.url]) as middle,
        Member(tmp_path / "c", clock, [middle.url]) as last,
    ):
        await until(lambda: len(middle.peers.roster.feeds()) == 2, "both are connected")
        await first.send(sign(0))
        await until(lambda: sign(0).hash() in last.node.mempool, "the transaction is passed on")
        await last.mine()
        await until(lambda: first.node.head().number == 1, "the block is passed on")
        assert first.node.head() == last.node.head()
        assert len(first.node.mempool) == 0


async def test_a_peer_whose_chain_left_ours_too_long_ago_is_not_to_blame(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What is pruned cannot be undone; its branch may be as honest as ours."""
    async with Member(tmp_path / "a", clock, coinbase=b"\xbb" * 20) as other:
        await other.mine(14)
        async with Member(tmp_path / "b", clock) as ours:
            await ours.mine(12)
            pruner = ours.node.store.pruner(4, minimum_nodes=1)
            while pruner.step():
                pass
            head = ours.node.head()
        async with Member(tmp_path / "b", clock, [other.url]) as ours:
            await until(lambda: "cannot be followed" in caplog.text, "the branch is looked at")
            assert "branch_too_deep" in caplog.text
            assert ours.node.head() == head
            assert len(ours.peers.roster.feeds()) == 1, "the two stay connected"
