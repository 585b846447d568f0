"""Blocks and transactions between real nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from node.peers import chase
from node.peers.wire import Kind
from tests.node.peers.network import Member, until
from tests.node.workshop import Clock, sign

Send = Callable[[Kind, bytes, int], None]
NEWS = (Kind.NEW_HEAD, Kind.NEW_BLOCK, Kind.TRANSACTIONS, Kind.TRANSACTION_HASHES)


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
    caplog.set_level(logging.WARNING, chase.log.name)
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


async def test_a_chain_too_long_for_one_turn_is_followed_in_several(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.peers.sync.TURN_SECONDS", 0.0)
    monkeypatch.setattr("node.peers.sync.MAX_HEADERS", 4)
    async with Member(tmp_path / "a", clock) as old:
        await old.mine(30)
        async with Member(tmp_path / "b", clock, [old.url]) as new:
            await until(lambda: new.node.head() == old.node.head(), "the chain is fetched")


async def test_a_node_goes_on_where_it_stopped(tmp_path: Path, clock: Clock) -> None:
    async with Member(tmp_path / "a", clock) as old:
        await old.mine(10)
        async with Member(tmp_path / "b", clock, [old.url]) as new:
            await until(lambda: new.node.head() == old.node.head(), "the chain is fetched")
        await old.mine(10)
        async with Member(tmp_path / "b", clock, [old.url]) as again:
            assert again.node.head().number == 10
            await until(lambda: again.node.head() == old.node.head(), "the rest is fetched")


async def test_nothing_is_told_twice(tmp_path: Path, clock: Clock) -> None:
    """Three nodes, each connected to both others: a transaction and a block go over each
    connection once at most in each direction, and then it is quiet."""
    async with (
        Member(tmp_path / "a", clock) as first,
        Member(tmp_path / "b", clock, [first.url]) as second,
        Member(tmp_path / "c", clock, [first.url, second.url]) as third,
    ):
        members = (first, second, third)
        await until(
            lambda: all(len(m.peers.roster.sessions) == 2 for m in members), "all are connected"
        )
        told = count_news(members)
        await first.send(sign(0))
        await first.mine()
        await until(lambda: len({m.node.head().hash() for m in members}) == 1, "all have it")
        await asyncio.sleep(0.5)
        assert 2 <= len(told) <= 2 * 6


def count_news(members: Sequence[Member]) -> list[Kind]:
    """Whatever is told unasked from now on."""
    told: list[Kind] = []
    for session in (s for m in members for s in m.peers.roster.sessions.values()):
        link = session._link
        send = link.send

        def note(kind: Kind, payload: bytes, request: int = 0, send: Send = send) -> None:
            if kind in NEWS:
                told.append(kind)
            send(kind, payload, request)

        link.send = note  # type: ignore[method-assign]
    return told
