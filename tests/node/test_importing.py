"""Blocks in: growth, every rule of a bad block, branches, orphans, futures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.core import Node
from node.importing import MAX_ORPHANS, Outcome
from node.spec.errors import InvalidBlock, Reason
from node.spec.transition import transactions_root
from node.spec.types import Block, Header
from node.waiting import Waiting
from tests.node.test_store import BLANK
from tests.node.workshop import (
    BLOCK_SECONDS,
    CHAIN,
    COIN,
    MINER,
    OTHER_MINER,
    POOR,
    RICH,
    Clock,
    mine,
    open_node,
    sign,
    solve,
)

REWARD = CHAIN.reward_wei


def balance(node: Node, address: bytes) -> int:
    return node.state_at(node.head()).get_balance(address)


def test_mined_blocks_pay_their_miner(node: Node, clock: Clock) -> None:
    mine(node, clock, 3)
    head = node.head()
    assert head.number == 3
    assert head.supply == balance(node, MINER) == 3 * REWARD
    assert node.header_at(2) is not None and node.header_at(4) is None
    assert node.store.total_difficulty(head.hash()) == 2 * 4


def test_a_chain_is_still_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    first = open_node(tmp_path, clock)
    mine(first, clock, 2)
    first.send(sign(0, value=5))
    head = first.head()
    first.close()

    again = open_node(tmp_path, clock)
    assert again.head() == head
    assert len(again.mempool) == 1
    mine(again, clock)
    assert balance(again, POOR) == 5
    again.close()


def flip(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


SEALED: dict[str, tuple[Callable[[Header], Header], Reason]] = {
    "number": (lambda h: replace(h, number=h.number + 1), Reason.BAD_NUMBER),
    "extra": (lambda h: replace(h, extra=bytes(33)), Reason.EXTRA_TOO_LONG),
    "past": (lambda h: replace(h, timestamp=1), Reason.TIME_NOT_AFTER_PARENT),
    "difficulty": (lambda h: replace(h, difficulty=h.difficulty + 1), Reason.BAD_DIFFICULTY),
    "easier": (lambda h: replace(h, difficulty=1), Reason.BAD_DIFFICULTY),
    "gas limit": (lambda h: replace(h, gas_limit=h.gas_limit + 1), Reason.BAD_GAS_LIMIT),
    "gas over limit": (lambda h: replace(h, gas_used=h.gas_limit + 1), Reason.BAD_GAS_USED),
    "gas used": (lambda h: replace(h, gas_used=h.gas_used + 1), Reason.BAD_GAS_USED),
    "state root": (lambda h: replace(h, state_root=flip(h.state_root)), Reason.BAD_STATE_ROOT),
    "bloom": (lambda h: replace(h, bloom=flip(h.bloom)), Reason.BAD_BLOOM),
    "receipts": (
        lambda h: replace(h, receipts_root=flip(h.receipts_root)),
        Reason.BAD_RECEIPTS_ROOT,
    ),
    "transactions": (
        lambda h: replace(h, transactions_root=flip(h.transactions_root)),
        Reason.BAD_TRANSACTIONS_ROOT,
    ),
    "uncles": (lambda h: replace(h, uncles_hash=flip(h.uncles_hash)), Reason.BAD_UNCLES_HASH),
    "coinbase": (lambda h: replace(h, coinbase=OTHER_MINER), Reason.BAD_STATE_ROOT),
    "quota": (lambda h: replace(h, quota=h.quota + 1), Reason.BAD_QUOTA),
    "supply": (lambda h: replace(h, supply=h.supply + 1), Reason.BAD_SUPPLY),
}

UNSEALED: dict[str, Callable[[Header], Header]] = {
    "nonce": lambda h: replace(h, nonce=flip(h.nonce)),
    "solution": lambda h: replace(h, solution=(h.solution[0] ^ 1, *h.solution[1:])),
    "other time": lambda h: replace(h, timestamp=h.timestamp + 1),
    "other state": lambda h: replace(h, state_root=flip(h.state_root)),
}


def template(node: Node, clock: Clock) -> Block:
    """A complete block with a transaction, but for its seal."""
    mine(node, clock)
    node.send(sign(0, value=5))
    clock.now += BLOCK_SECONDS
    return node.refresh_work().block


def check_refused(node: Node, block: Block, reason: Reason) -> None:
    before = node.head(), node.status()
    with pytest.raises(InvalidBlock) as refusal:
        node.import_block(block)
    assert refusal.value.reason is reason
    assert (node.head(), node.status()) == before
    assert node.store.block(block.hash()) is None
    assert node.store.canonical_hash(block.header.number) is None


@pytest.mark.parametrize("name", SEALED)
def test_a_block_that_breaks_a_rule_is_refused(node: Node, clock: Clock, name: str) -> None:
    change, reason = SEALED[name]
    block = template(node, clock)
    check_refused(node, replace(block, header=solve(change(block.header))), reason)


@pytest.mark.parametrize("name", UNSEALED)
def test_a_block_whose_seal_proves_nothing_is_refused(node: Node, clock: Clock, name: str) -> None:
    block = template(node, clock)
    header = UNSEALED[name](solve(block.header))
    check_refused(node, replace(block, header=header), Reason.BAD_SEAL)


def test_a_block_with_a_transaction_that_cannot_be_is_refused(node: Node, clock: Clock) -> None:
    mine(node, clock)
    node.send(sign(0, value=5))
    clock.now += BLOCK_SECONDS
    good = node.refresh_work().block
    sent = (sign(7, value=5),)
    header = replace(good.header, transactions_root=transactions_root(sent))
    check_refused(node, Block(solve(header), sent), Reason.NONCE_TOO_HIGH)


def test_the_heavier_branch_wins_and_its_loser_gives_transactions_back(
    tmp_path: Path, clock: Clock
) -> None:
    ours, theirs = open_node(tmp_path / "a", clock), open_node(tmp_path / "b", clock, OTHER_MINER)
    lost = sign(0, value=COIN)
    ours.send(lost)
    mine(ours, clock, 2)
    assert balance(ours, POOR) == COIN and len(ours.mempool) == 0
    branch = [mine(theirs, clock) for _ in range(3)]

    outcomes = [ours.import_block(block) for block in branch]
    assert outcomes == [Outcome.SIDE, Outcome.SIDE, Outcome.HEAD]
    assert ours.head() == theirs.head()
    assert [ours.store.canonical_hash(n) for n in (1, 2, 3)] == [b.hash() for b in branch]
    assert balance(ours, POOR) == balance(ours, MINER) == 0
    assert balance(ours, OTHER_MINER) == 3 * REWARD
    assert ours.store.location(lost.hash()) is None
    assert lost.hash() in ours.mempool

    mine(ours, clock)
    assert balance(ours, POOR) == COIN
    assert ours.import_block(branch[0]) is Outcome.KNOWN
    for node in (ours, theirs):
        node.close()


def test_a_side_block_becomes_an_uncle(tmp_path: Path, clock: Clock) -> None:
    ours, theirs = open_node(tmp_path / "a", clock), open_node(tmp_path / "b", clock, OTHER_MINER)
    mine(ours, clock)
    side = mine(theirs, clock)
    assert ours.import_block(side) is Outcome.SIDE
    nephew = mine(ours, clock)
    assert nephew.uncles == (side.header,)
    assert balance(ours, OTHER_MINER) == REWARD * 7 // 8
    assert balance(ours, MINER) == 2 * REWARD + REWARD // 32
    assert mine(ours, clock).uncles == ()
    for node in (ours, theirs):
        node.close()


def test_blocks_out_of_order_come_together(tmp_path: Path, node: Node, clock: Clock) -> None:
    source = open_node(tmp_path / "source", clock, OTHER_MINER)
    blocks = [mine(source, clock) for _ in range(4)]
    for block in (blocks[3], blocks[1], blocks[2]):
        assert node.import_block(block) is Outcome.ORPHAN
    assert node.head().number == 0
    assert node.import_block(blocks[0]) is Outcome.HEAD
    assert node.head() == source.head()
    source.close()


def test_an_orphan_without_a_seal_is_not_kept(node: Node, clock: Clock) -> None:
    block = template(node, clock)
    stranger = replace(block, header=replace(block.header, parent_hash=bytes(32)))
    check_refused(node, stranger, Reason.BAD_SEAL)


def test_a_block_from_the_future_waits(tmp_path: Path, node: Node, clock: Clock) -> None:
    ahead = Clock()
    ahead.now = clock.now + 100
    source = open_node(tmp_path / "source", ahead)
    block = mine(source, ahead)
    assert node.import_block(block) is Outcome.FUTURE
    assert node.importer.retry() == 0
    clock.now += 90
    assert node.importer.retry() == 1
    assert node.head() == block.header
    source.close()


def test_waiting_blocks_are_bounded() -> None:
    waiting = Waiting(MAX_ORPHANS)
    for number in range(MAX_ORPHANS + 10):
        waiting.keep(Block(replace(BLANK, number=number)))
    assert len(waiting) == MAX_ORPHANS
    assert len(waiting.take(lambda h: h.number < 20)) == 10


def test_waiting_blocks_are_bounded_by_their_bytes() -> None:
    size = len(Block(BLANK).encode())
    waiting = Waiting(MAX_ORPHANS, limit_bytes=5 * size)
    for number in range(10):
        waiting.keep(Block(replace(BLANK, number=number)))
    kept = [block.header.number for block in waiting.take(lambda header: True)]
    assert kept == [5, 6, 7, 8, 9]
    assert len(waiting) == 0
    waiting.keep(Block(BLANK))
    waiting.keep(Block(BLANK))
    assert len(waiting) == 1


def test_nothing_of_the_rich_is_lost(node: Node, clock: Clock) -> None:
    """Supply and balances agree: what was mined and what genesis gave is all there is."""
    node.send(sign(0, value=3 * COIN, price=10**9))
    mine(node, clock, 2)
    total = sum(balance(node, a) for a in (RICH, POOR, MINER))
    assert total == 1000 * COIN + node.head().supply


def test_blocks_that_come_together_go_in_up_to_the_first_wrong_one(
    tmp_path: Path, clock: Clock, node: Node
) -> None:
    blocks = [mine(node, clock) for _ in range(4)]
    wrong = replace(blocks[2], header=replace(blocks[2].header, state_root=bytes(32)))
    other = open_node(tmp_path / "other", clock)
    done = other.import_blocks([*blocks[:2], Block(solve(wrong.header)), blocks[3]])
    assert done.outcomes == (Outcome.HEAD, Outcome.HEAD)
    assert isinstance(done.failure, InvalidBlock)
    assert other.head() == blocks[1].header
    assert other.import_blocks(blocks).outcomes == (Outcome.KNOWN,) * 2 + (Outcome.HEAD,) * 2
    other.close()


def test_transactions_that_come_back_are_kept_however_many(tmp_path: Path, clock: Clock) -> None:
    """More than one sender may send at once: its nonce went back with the chain."""
    node = open_node(tmp_path / "node", clock)
    for nonce in range(200):
        node.send(sign(nonce, gas=21_000))
    mine(node, clock)
    for nonce in range(200, 400):
        node.send(sign(nonce, gas=21_000))
    other = open_node(tmp_path / "other", clock, OTHER_MINER)
    mine(other, clock, 2)
    for number in (1, 2):
        block = other.store.block(other.store.canonical_hash(number) or b"")
        assert block is not None
        node.import_block(block)
    assert node.head() == other.head()
    assert (len(node.mempool), len(node.store.pending())) == (400, 400)
    node.close()
    again = open_node(node.home, clock)
    assert len(again.mempool) == 400
    for opened in (again, other):
        opened.close()
