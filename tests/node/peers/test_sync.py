"""Blocks and transactions between real nodes."""

from __future__ import annotations

from pathlib import Path

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
