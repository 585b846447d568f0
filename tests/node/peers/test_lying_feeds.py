"""Feeds that lie are found out, dropped and banned; those that fail only lose points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.peers.board import PeerState
from node.spec.chain import Chain
from node.spec.types import Block
from tests.node.peers.network import Member, until
from tests.node.peers.villain import Tale, boast, read_chain, reseal, tell
from tests.node.workshop import BLOCK_SECONDS, CHAIN, Clock, mine, open_node, sign


@pytest.fixture
def truth(tmp_path: Path, clock: Clock) -> list[Block]:
    """A chain of six blocks, one of them with transactions."""
    node = open_node(tmp_path / "truth", clock)
    mine(node, clock, 3)
    node.send(sign(0))
    node.send(sign(1))
    mine(node, clock, 3)
    blocks = read_chain(node)
    node.close()
    return blocks


def without_work(truth: list[Block]) -> Tale:
    last = truth[-1]
    return Tale([*truth[:-1], replace(last, header=replace(last.header, nonce=bytes(8)))])


def with_wrong_difficulty(truth: list[Block]) -> Tale:
    return Tale([*truth[:-1], reseal(truth[-1], difficulty=7)])


def unlinked(truth: list[Block]) -> Tale:
    return Tale([*truth[:4], reseal(truth[4], parent_hash=bytes(32)), *truth[5:]])


def with_another_body(truth: list[Block]) -> Tale:
    return Tale([replace(b, transactions=b.transactions[:1]) for b in truth])


def with_a_strange_uncle(truth: list[Block]) -> Tale:
    return Tale([*truth[:-1], replace(truth[-1], uncles=(truth[-2].header,))])


def with_wrong_state(truth: list[Block]) -> Tale:
    return Tale([*truth[:-1], reseal(truth[-1], state_root=bytes(32))])


def said_to_be_heavier(truth: list[Block]) -> Tale:
    return boast(Tale(truth))


@pytest.mark.parametrize(
    ("tale", "reason"),
    [
        (without_work, "bad_seal"),
        (with_wrong_difficulty, "bad_difficulty"),
        (unlinked, "unknown_parent"),
        (with_another_body, "is not its header's"),
        (with_a_strange_uncle, "is not its header's"),
        (with_wrong_state, "bad_state_root"),
        (said_to_be_heavier, "add up to"),
    ],
)
async def test_a_liar_is_banned(
    tmp_path: Path, clock: Clock, truth: list[Block], tale: object, reason: str
) -> None:
    assert callable(tale)
    async with (
        tell(tmp_path, tale(truth)) as url,
        Member(tmp_path / "victim", clock, [url]) as victim,
    ):
        await until(lambda: reason in victim.reasons(), f"it is found out: {reason}")
        await until(lambda: not victim.peers.roster.feeds(), "it is dropped")
        await until(lambda: victim.peers.board().peers[0].state is PeerState.BANNED, "it is banned")
        assert victim.node.head().number <= len(truth) - 1


@pytest.mark.parametrize(
    ("chain", "genesis", "reason"),
    [
        (replace(CHAIN, chain_id=7), True, "on chain 7"),
        (CHAIN, False, "its genesis is"),
    ],
)
async def test_a_stranger_is_refused_and_not_blamed(
    tmp_path: Path, clock: Clock, truth: list[Block], chain: Chain, genesis: bool, reason: str
) -> None:
    tale = Tale(truth if genesis else truth[1:])
    async with (
        tell(tmp_path, tale, chain) as url,
        Member(tmp_path / "victim", clock, [url]) as victim,
    ):
        await until(lambda: reason in victim.reasons(), "it says why")
        (view,) = victim.peers.board().peers
        assert view.state is not PeerState.BANNED
        assert view.points == 0


async def test_a_feed_that_withholds_headers_loses_points_each_time(
    tmp_path: Path, clock: Clock, truth: list[Block]
) -> None:
    async with (
        tell(tmp_path, Tale(truth, withheld_from=4)) as url,
        Member(tmp_path / "victim", clock, [url]) as victim,
    ):
        await until(lambda: "withholds header 4" in victim.reasons(), "it is found out")
        await until(lambda: not victim.peers.roster.feeds(), "it is dropped in the end")
        assert victim.node.head().number == 3


async def test_a_longer_but_lighter_chain_is_not_followed(tmp_path: Path, clock: Clock) -> None:
    """Neither where it says so nor where it boasts; no body of it is even asked for."""
    slow = Clock()
    node = open_node(tmp_path / "light", slow)
    mine(node, slow, 30)
    light = read_chain(node)
    node.close()
    asked: list[int] = []

    class Counting(Tale):
        def bodies(self, hashes: object) -> bytes:
            asked.append(1)
            return b""

    async with (
        tell(tmp_path / "1", Counting(light)) as honest,
        tell(tmp_path / "2", boast(Counting(light))) as boasting,
    ):
        victim = Member(tmp_path / "victim", clock, [honest, boasting])
        clock.now = slow.now
        for _ in range(10):
            clock.now += 1 - BLOCK_SECONDS  # soon after one another: their difficulty rises
            mine(victim.node, clock)
        head = victim.node.head()
        own = victim.node.store.total_difficulty(head.hash()) or 0
        assert own > sum(block.header.difficulty for block in light)
        async with victim:
            await until(lambda: "add up to" in victim.reasons(), "the boast is found out")
            await until(lambda: "contradict" in victim.peers.board().comparison, "it is said")
            assert victim.node.head() == head
            assert not asked
