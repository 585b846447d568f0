"""Changes of branch: depths, uncles, transactions that come back, bad branches, checkpoints."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.core import Node
from node.importing import HeadChange, Outcome
from node.spec.chain import Chain
from node.spec.errors import InvalidBlock, Reason
from node.spec.types import Block, Transaction
from node.waiting import BadBlocks
from tests.node.workshop import (
    BLOCK_SECONDS,
    CHAIN,
    OTHER_MINER,
    POOR,
    Clock,
    mine,
    open_node,
    sign,
    solve,
)

#: Blocks of each test's long branch that carry a transaction.
SENT_EVERY = 10
LONG = [pytest.mark.slow, pytest.mark.timeout(1800)]

Pair = tuple[Node, Node]


@pytest.fixture
def pair(tmp_path: Path, clock: Clock) -> Iterator[Pair]:
    """Two nodes of one network that have not met."""
    nodes = open_node(tmp_path / "a", clock), open_node(tmp_path / "b", clock, OTHER_MINER)
    yield nodes
    for node in nodes:
        node.close()


def grow(node: Node, clock: Clock, count: int, nonce: int | None = None) -> list[Block]:
    """Mined blocks; where ``nonce`` is given, some carry a transaction of its own."""
    blocks = []
    for place in range(count):
        if nonce is not None and place % SENT_EVERY == 0:
            node.send(sign(nonce + place // SENT_EVERY, value=1))
        blocks.append(mine(node, clock))
    return blocks


def transactions(blocks: list[Block]) -> list[Transaction]:
    return [t for block in blocks for t in block.transactions]


def balance(node: Node, address: bytes) -> int:
    return node.state_at(node.head()).get_balance(address)


def check_canonical(node: Node, blocks: list[Block]) -> None:
    """The node's canonical chain is genesis and these, with all that is looked up by it."""
    assert node.head() == blocks[-1].header
    for number, block in enumerate(blocks, 1):
        assert node.store.canonical_hash(number) == block.hash()
        for index, sent in enumerate(block.transactions):
            where = node.store.location(sent.hash())
            assert where is not None and (where.block_hash, where.index) == (block.hash(), index)
    assert node.store.canonical_hash(len(blocks) + 1) is None


def watch(node: Node) -> list[HeadChange]:
    """The changes of head from now on; the node still follows them."""
    seen: list[HeadChange] = []
    follow = node.importer.on_head

    def note(change: HeadChange) -> None:
        seen.append(change)
        follow(change)

    node.importer.on_head = note
    return seen


@pytest.mark.parametrize(
    "depth",
    [1, 7, 100, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
    ids=lambda d: f"{d} deep",
)
def test_a_heavier_branch_is_followed_however_deep(pair: Pair, clock: Clock, depth: int) -> None:
    ours, theirs = pair
    lost = transactions(grow(ours, clock, depth, nonce=0))
    branch = grow(theirs, clock, depth + 1)
    changes = watch(ours)

    for block in branch[:-1]:
        assert ours.import_block(block) is Outcome.SIDE, "as heavy is not heavier"
    tracemalloc.start()
    assert ours.import_block(branch[-1]) is Outcome.HEAD
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 2_000_000 + 2_000 * depth
    assert [len(changes[0].adopted), len(changes[0].abandoned)] == [depth + 1, depth]
    assert list(changes[0].adopted) == branch
    check_canonical(ours, branch)
    assert len(lost) == -(-depth // SENT_EVERY)
    assert all(t.hash() in ours.mempool and ours.store.location(t.hash()) is None for t in lost)
    assert {t.hash() for t in ours.store.pending()} == {t.hash() for t in lost}
    mine(ours, clock)
    assert balance(ours, POOR) == len(lost) and len(ours.mempool) == 0


def test_a_transaction_of_both_branches_does_not_come_back(pair: Pair, clock: Clock) -> None:
    ours, theirs = pair
    shared, lost = sign(0, value=3), sign(1, value=4)
    for transaction in (shared, lost):
        ours.send(transaction)
    mine(ours, clock)
    theirs.send(shared)
    for block in grow(theirs, clock, 2):
        ours.import_block(block)
    assert ours.head() == theirs.head()
    assert shared.hash() not in ours.mempool and lost.hash() in ours.mempool
    assert [t.hash() for t in ours.store.pending()] == [lost.hash()]


def test_back_and_forth_between_branches(pair: Pair, clock: Clock) -> None:
    """Each node overtakes the other in turn; both see the same chain each time."""
    first, second = pair
    ours, theirs = grow(first, clock, 3, nonce=0), grow(second, clock, 4, nonce=0)
    for block in theirs:
        first.import_block(block)
    check_canonical(first, theirs)
    for block in ours:
        second.import_block(block)
    check_canonical(second, theirs)
    # The abandoned branch grows on, on a third node that knows only it.
    ours += grow_on(second, clock, ours, 3)
    for block in ours:
        first.import_block(block)
    check_canonical(first, ours)
    assert balance(first, OTHER_MINER) == balance(second, OTHER_MINER)


def grow_on(node: Node, clock: Clock, branch: list[Block], count: int) -> list[Block]:
    """Blocks on a branch that is not the node's own; the node imports them."""
    blocks: list[Block] = []
    for _ in range(count):
        clock.now += BLOCK_SECONDS
        parent = (branch + blocks)[-1].header
        built = node.producer.build(parent).block
        block = replace(built, header=solve(built.header))
        node.import_block(block)
        blocks.append(block)
    return blocks


def test_uncles_on_both_branches(pair: Pair, clock: Clock) -> None:
    ours, theirs = pair
    one, other = mine(ours, clock), mine(theirs, clock)
    ours.import_block(other)
    theirs.import_block(one)
    left, right = grow(ours, clock, 2), grow(theirs, clock, 3)
    assert any(b.uncles for b in left) and any(b.uncles for b in right)
    for block in right:
        ours.import_block(block)
    for block in left:
        theirs.import_block(block)
    assert ours.head() == theirs.head() == right[-1].header
    miners = (ours.coinbase, theirs.coinbase)
    assert all(balance(ours, m) == balance(theirs, m) > 0 for m in miners)
    assert ours.head().supply == sum(balance(ours, m) for m in miners)


def spoil(node: Node, parent: Block, clock: Clock) -> Block:
    """A sealed block whose state root is wrong."""
    clock.now += BLOCK_SECONDS
    built = node.producer.build(parent.header).block
    header = solve(replace(built.header, state_root=b"\7" * 32))
    return replace(built, header=header)


def child_of(node: Node, parent: Block, clock: Clock) -> Block:
    """A sealed block on one that no node took in."""
    clock.now += BLOCK_SECONDS
    grandparent = node.store.header(parent.header.parent_hash)
    assert grandparent is not None
    like = node.producer.build(grandparent).block.header
    header = replace(
        like,
        parent_hash=parent.hash(),
        number=parent.header.number + 1,
        timestamp=parent.header.timestamp + BLOCK_SECONDS,
        quota=parent.header.quota + node.chain.quota_per_block,
    )
    return Block(solve(header))


def refuse(node: Node, block: Block) -> Reason:
    with pytest.raises(InvalidBlock) as refusal:
        node.import_block(block)
    return refusal.value.reason


def test_what_is_built_on_a_bad_block_is_refused_unexecuted(pair: Pair, clock: Clock) -> None:
    ours, theirs = pair
    mine(ours, clock)
    branch = grow(theirs, clock, 2)
    bad = spoil(theirs, branch[-1], clock)
    child = child_of(theirs, bad, clock)
    grandchild = Block(
        solve(replace(child.header, parent_hash=child.hash(), number=child.header.number + 1))
    )
    for block in branch:
        ours.import_block(block)
    assert ours.import_block(grandchild) is Outcome.ORPHAN
    assert refuse(ours, bad) is Reason.BAD_STATE_ROOT
    executed = count_executions(ours)
    assert refuse(ours, bad) is Reason.BAD_STATE_ROOT
    assert refuse(ours, child) is Reason.BAD_ANCESTOR
    assert refuse(ours, grandchild) is Reason.BAD_ANCESTOR
    assert executed() == 0
    assert ours.head() == branch[-1].header
    mine(ours, clock)


def count_executions(node: Node) -> Callable[[], int]:
    """Blocks executed from now on; the real executor does the work."""
    done: list[Block] = []
    execute = node.importer.executor.execute

    def counted(block: Block, parent):  # type: ignore[no-untyped-def]
        done.append(block)
        return execute(block, parent)

    node.importer.executor.execute = counted  # type: ignore[method-assign]
    return lambda: len(done)


def test_an_orphan_on_a_bad_block_is_forgotten(pair: Pair, clock: Clock) -> None:
    ours, theirs = pair
    first = mine(theirs, clock)
    bad = spoil(theirs, first, clock)
    child = child_of(theirs, bad, clock)
    assert ours.import_block(child) is Outcome.ORPHAN
    ours.import_block(first)
    refuse(ours, bad)
    assert refuse(ours, child) is Reason.BAD_ANCESTOR
    assert ours.head() == first.header


def test_another_body_does_not_make_a_header_bad(node: Node, clock: Clock) -> None:
    node.send(sign(0, value=5))
    clock.now += BLOCK_SECONDS
    built = node.refresh_work().block
    block = replace(built, header=solve(built.header))
    stolen = replace(block, transactions=())
    assert refuse(node, stolen) is Reason.BAD_TRANSACTIONS_ROOT
    assert refuse(node, replace(block, uncles=(block.header,))) is Reason.DUPLICATE_UNCLE
    assert node.import_block(block) is Outcome.HEAD


def test_an_unsealed_child_of_a_bad_block_is_not_remembered(pair: Pair, clock: Clock) -> None:
    ours, theirs = pair
    first = mine(theirs, clock)
    bad = spoil(theirs, first, clock)
    ours.import_block(first)
    refuse(ours, bad)
    child = child_of(theirs, bad, clock)
    unsealed = replace(child, header=replace(child.header, nonce=bytes(8)))
    assert refuse(ours, unsealed) is Reason.BAD_SEAL


def test_bad_blocks_are_remembered_in_bounds() -> None:
    bad = BadBlocks(limit=10)
    for number in range(25):
        bad.add(number.to_bytes(32, "big"), Reason.BAD_STATE_ROOT)
    assert len(bad) == 10
    assert bad.reason(bytes(32)) is None
    assert bad.reason((24).to_bytes(32, "big")) is Reason.BAD_STATE_ROOT


def open_with(home: Path, clock: Clock, chain: Chain) -> Node:
    return open_node(home, clock, chain=chain)


def test_a_branch_that_contradicts_a_checkpoint_is_refused(
    tmp_path: Path, pair: Pair, clock: Clock
) -> None:
    ours, theirs = pair
    good, bad = grow(ours, clock, 4), grow(theirs, clock, 6)
    checked = replace(CHAIN, checkpoints={2: good[1].hash()})
    node = open_with(tmp_path / "checked", clock, checked)
    node.import_block(bad[0])
    assert refuse(node, bad[1]) is Reason.CONTRADICTS_CHECKPOINT
    assert node.import_block(bad[3]) is Outcome.ORPHAN
    for block in good:
        node.import_block(block)
    check_canonical(node, good)
    node.close()


def test_nothing_below_a_passed_checkpoint_is_undone(
    tmp_path: Path, pair: Pair, clock: Clock
) -> None:
    ours, theirs = pair
    good, late = grow(ours, clock, 4), grow(theirs, clock, 2)
    node = open_with(tmp_path / "checked", clock, replace(CHAIN, checkpoints={3: good[2].hash()}))
    for block in good[:2]:
        node.import_block(block)
    assert node.import_block(late[0]) is Outcome.SIDE, "the checkpoint is still ahead"
    node.import_block(good[2])
    assert refuse(node, late[1]) is Reason.BRANCH_TOO_DEEP
    node.import_block(good[3])
    check_canonical(node, good)
    node.close()
