"""Who gets what: windows of shares, blocks shared out once, payments made once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core import Node
from node.stratum.finds import Find, Finds, FindState, divide, read_balances, read_finds
from node.stratum.found import FoundBlocks
from node.stratum.payments import Payments
from node.stratum.settings import StratumSettings
from node.stratum.shares import SLICES, ShareLedger, write
from tests.node.stratum.miner import (
    ALICE,
    BOB,
    COINBASE,
    SECRET,
    Desk,
    connect,
    running_desk,
    search,
)
from tests.node.workshop import CHAIN, MINER, OTHER_MINER, Clock, mine, open_node, sign, solve
from tests.support.ports import free_port

REWARD = CHAIN.reward_wei


def flush(ledger: ShareLedger, window: int) -> None:
    ledger.end_flush(ledger.write(*ledger.begin_flush(window)))


def test_shares_survive_a_restart_and_leave_with_the_window(node: Node) -> None:
    ledger = ShareLedger(node.store, node.home / "stratum")
    for number in range(1, 301):
        ledger.add(MINER if number % 2 else OTHER_MINER, 1)
        flush(ledger, window=100)
    kept = ledger.weights()
    assert 100 <= sum(kept.values()) <= 101 and abs(kept[MINER] - kept[OTHER_MINER]) <= 1
    assert ShareLedger(node.store, node.home / "stratum").weights() == kept
    assert len(node.store.records("shares")) <= SLICES + 1


def test_a_kill_loses_no_share_and_doubles_none(node: Node) -> None:
    folder = node.home / "stratum"
    ledger = ShareLedger(node.store, folder)
    ledger.add(MINER, 7)
    flush(ledger, window=1000)
    ledger.add(MINER, 5)
    assert ShareLedger(node.store, folder).weights() == {MINER: 12}, "not written, but journaled"
    after = ShareLedger(node.store, folder)
    after.add(OTHER_MINER, 1)
    piece, gone = after.begin_flush(1000)
    after.add(OTHER_MINER, 2)
    node.store.change(lambda records: write(records, piece, gone))  # killed before it forgets
    last = ShareLedger(node.store, folder)
    assert last.weights() == {MINER: 12, OTHER_MINER: 3}
    flush(last, window=1000)
    assert list(folder.glob("*.shares")) == []
    assert ShareLedger(node.store, folder).weights() == {MINER: 12, OTHER_MINER: 3}


def test_a_torn_record_is_no_share(node: Node) -> None:
    folder = node.home / "stratum"
    ledger = ShareLedger(node.store, folder)
    ledger.add(MINER, 7)
    ledger.add(MINER, 5)
    (journal,) = folder.glob("*.shares")
    journal.write_bytes(journal.read_bytes()[:-3] + bytes(60))
    assert ShareLedger(node.store, folder).weights()[MINER] == 7


@given(
    st.integers(0, 10**24),
    st.dictionaries(st.binary(min_size=20, max_size=20), st.integers(1, 10**18), max_size=50),
    st.integers(0, 10_000),
)
def test_no_more_is_given_than_was_earned(income: int, work: dict[bytes, int], fee: int) -> None:
    shares = divide(income, work, fee)
    pot = income * (10_000 - fee) // 10_000
    assert sum(shares.values()) <= pot
    assert not work or pot - sum(shares.values()) < len(work)


def test_a_block_is_shared_out_once_with_its_fees(node: Node, clock: Clock) -> None:
    node.send(sign(0, value=5, price=1000))
    node.send(sign(1, to=MINER, value=10**18, price=1000))
    finds = Finds(node.store, node.chain, 100, 8)
    block = mine(node, clock)
    assert len(block.transactions) == 2
    finds.note(Find(block.hash(), 1, MINER, 0, {MINER: 1, OTHER_MINER: 3}))
    mine(node, clock, 7)
    assert finds.settle() == [], "not confirmed yet"
    mine(node, clock)
    (settled,) = finds.settle()
    income = REWARD + 2 * 21_000 * 1000
    assert (settled.state, settled.income_wei) == (FindState.SHARED, income)
    assert Finds(node.store, node.chain, 100, 8).settle() == []
    pot = income * 99 // 100
    found = {a: b.credited for a, b in read_balances(node.store).items()}
    assert found == {MINER: pot // 4, OTHER_MINER: pot * 3 // 4}
    assert read_finds(node.store) == [settled]


def test_a_block_noted_but_never_imported_pays_nothing(node: Node, clock: Clock) -> None:
    finds = Finds(node.store, node.chain, 0, 1)
    finds.note(Find(b"\x01" * 32, 1, MINER, 0, {MINER: 1}))
    mine(node, clock, 8)
    (settled,) = finds.settle()
    assert settled.state is FindState.ORPHANED and read_balances(node.store) == {}


def test_an_uncle_pays_an_uncles_reward(tmp_path: Path, node: Node, clock: Clock) -> None:
    rival = open_node(tmp_path / "rival", clock, OTHER_MINER)
    side = mine(rival, clock)
    rival.close()
    mine(node, clock)
    finds = Finds(node.store, node.chain, 0, 1)
    finds.note(Find(side.hash(), 1, OTHER_MINER, 0, {OTHER_MINER: 1}))
    node.import_block(side)
    nephew = mine(node, clock)
    assert [u.hash() for u in nephew.uncles] == [side.hash()]
    mine(node, clock, 6)
    (settled,) = finds.settle()
    assert (settled.state, settled.income_wei) == (FindState.UNCLE, REWARD * 7 // 8)


@pytest.fixture
def purse(tmp_path: Path, clock: Clock) -> Node:
    """A node whose coinbase has a block's reward, all of it owed to others."""
    node = open_node(tmp_path / "purse", clock, COINBASE)
    finds = Finds(node.store, node.chain, 100, 2)
    block = mine(node, clock)
    finds.note(Find(block.hash(), 1, MINER, 0, {MINER: 1, OTHER_MINER: 2}))
    mine(node, clock, 8)
    assert finds.settle()
    return node


def balance(node: Node, account: bytes) -> int:
    return node.state_at(node.head()).get_balance(account)


def test_balances_are_paid_once(purse: Node, clock: Clock) -> None:
    due = {a: b.due for a, b in read_balances(purse.store).items()}
    payments = Payments(purse, SECRET, 10**18, 2)
    payments.advance()
    assert all(b.due == 0 for b in read_balances(purse.store).values())
    for _ in range(4):
        mine(purse, clock)
        payments.advance()
        Payments(purse, SECRET, 10**18, 2).advance()
    assert {a: balance(purse, a) for a in due} == due
    assert purse.store.records("payments") == []
    purse.close()


def test_a_payment_that_was_kept_but_not_sent_is_sent_after_a_kill(
    purse: Node, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = {a: b.due for a, b in read_balances(purse.store).items()}
    monkeypatch.setattr(purse, "send", lambda transaction: None)
    Payments(purse, SECRET, 10**18, 2).advance()
    purse.close()
    again = open_node(tmp_path / "purse", clock, COINBASE)
    Payments(again, SECRET, 10**18, 2).advance()
    mine(again, clock)
    assert {a: balance(again, a) for a in due} == due
    again.close()


def test_a_payment_whose_nonce_was_taken_is_made_again(purse: Node, clock: Clock) -> None:
    payments = Payments(purse, SECRET, 10**18, 2)
    due = {a: b.due for a, b in read_balances(purse.store).items()}
    purse.send(sign(0, value=1, price=50, key=SECRET))
    payments.advance()  # its first payment has the nonce of the transaction above
    for _ in range(8):
        mine(purse, clock)
        payments.advance()
    assert {a: balance(purse, a) for a in due} == due
    assert all(b.due == 0 for b in read_balances(purse.store).values())
    purse.close()


def test_small_balances_wait(purse: Node) -> None:
    Payments(purse, SECRET, 10**21, 2).advance()
    Payments(purse, SECRET, 0, 2).advance()
    assert purse.store.records("payments") == []
    assert not any(b.paid for b in read_balances(purse.store).values())
    purse.close()


async def test_shares_become_balances(tmp_path: Path) -> None:
    """Two miners, one block: each gets by its shares, the solo miner all of its own."""
    async with running_desk(tmp_path, confirmations=1, fee_basis_points=0) as desk:
        alice, bob = await connect(desk.pool.ports[0]), await connect(desk.pool.ports[0])
        job = await bob.log_in(BOB)
        target = desk.node.desk.current().target
        poor = search(job, wanted=lambda digest: digest > target)
        assert (await bob.submit(poor))["result"] is True
        good = search(await alice.log_in(ALICE), wanted=lambda digest: digest <= target)
        assert (await alice.submit(good))["result"] is True
        while (await alice.next_job()).height == 1:
            pass
        mine(desk.node, desk.clock, 8)
        await desk.pool._accounts.settle()
        found = {a: b.due for a, b in read_balances(desk.node.store).items()}
        assert found == {bytes.fromhex(a[2:]): REWARD // 2 for a in (ALICE, BOB)}


async def test_a_solo_miners_block_is_its_own(tmp_path: Path) -> None:
    async with running_desk(tmp_path, solo_port=free_port(), confirmations=1) as desk:
        crowd, loner = await connect(desk.pool.ports[0]), await connect(desk.pool.ports[1])
        target = desk.node.desk.current().target
        crowded = await crowd.log_in(BOB)
        no_block = search(crowded, wanted=lambda d: target < d <= crowded.target)
        assert (await crowd.submit(no_block))["result"] is True
        job = await loner.log_in(ALICE)
        assert (await loner.submit(search(job, wanted=lambda d: d <= target)))["result"] is True
        while (await loner.next_job()).height == job.height:
            pass
        mine(desk.node, desk.clock, 8)
        await desk.pool._accounts.settle()
        pot = REWARD * 99 // 100
        assert read_balances(desk.node.store)[bytes.fromhex(ALICE[2:])].due == pot


async def test_what_was_taken_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running_desk(tmp_path) as desk:
        miner = await connect(desk.pool.ports[0])
        assert (await miner.submit(search(await miner.log_in())))["result"] is True
    desk = Desk(tmp_path, StratumSettings())
    assert desk.pool._accounts.ledger.weights() == {bytes.fromhex(ALICE[2:]): 1}
    await desk.pool.stop()
    desk.node.close()


async def test_a_block_found_before_a_kill_is_imported_after_it(tmp_path: Path) -> None:
    """As the killed process left it: its finder was told yes, and nothing else was done."""
    desk = Desk(tmp_path, StratumSettings(port=free_port()))
    package = desk.node.refresh_work()
    header = solve(package.block.header)
    block = replace(package.block, header=header)
    finder = bytes.fromhex(ALICE[2:])
    find = Find(block.hash(), 1, finder, 5, {finder: 3})
    kept = FoundBlocks(desk.node.home / "stratum")
    kept.keep(find, block)
    (kept._folder / "torn.block").write_bytes(b"\xf8")
    await desk.pool.start()
    while kept.read():
        await asyncio.sleep(0.01)
    assert desk.node.head() == header
    assert read_finds(desk.node.store) == [find]
    await desk.pool.stop()
    desk.node.close()
