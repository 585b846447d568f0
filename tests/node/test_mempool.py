"""What the pool takes, refuses, orders, replaces and lets go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.errors import RefusalReason, TransactionRefused
from node.mempool import MAX_TRANSACTION_BYTES, Mempool, PoolLimits
from node.spec.crypto import private_address
from node.spec.state import State
from node.spec.trie import MemoryStore
from node.spec.types import Transaction
from tests.node.workshop import CHAIN, COIN, POOR, POOR_KEY, RICH, RICH_KEY, sign

GAS_LIMIT = 8_000_000
Reason = RefusalReason


@pytest.fixture
def state() -> State:
    made = State(MemoryStore())
    made.set_balance(RICH, COIN)
    made.set_balance(POOR, COIN)
    made.set_nonce(RICH, 5)
    return made


@pytest.fixture
def pool() -> Mempool:
    return Mempool(CHAIN)


def add(pool: Mempool, state: State, transaction: Transaction) -> list[bytes]:
    return pool.add(transaction, state, GAS_LIMIT, 1)


BAD: list[tuple[Transaction, RefusalReason]] = [
    (sign(4), Reason.NONCE_TOO_LOW),
    (sign(5 + 256), Reason.NONCE_TOO_HIGH),
    (sign(5, price=0), Reason.UNDERPRICED),
    (sign(5, gas=GAS_LIMIT + 1), Reason.GAS_LIMIT),
    (sign(5, gas=20_999), Reason.INTRINSIC_GAS),
    (sign(5, to=None, gas=52_999), Reason.INTRINSIC_GAS),
    (sign(5, data=b"\1", gas=21_015), Reason.INTRINSIC_GAS),
    (sign(5, value=COIN), Reason.INSUFFICIENT_FUNDS),
    (sign(5, data=bytes(MAX_TRANSACTION_BYTES), gas=GAS_LIMIT), Reason.OVERSIZED),
    (replace(sign(5), r=0), Reason.BAD_SIGNATURE),
    (Transaction(5, 10, 21_000, POOR, 0, b"").sign(RICH_KEY, 21), Reason.BAD_SIGNATURE),
]


@pytest.mark.parametrize(("transaction", "reason"), BAD, ids=lambda v: str(v)[:20])
def test_a_transaction_that_cannot_be_is_refused(
    pool: Mempool, state: State, transaction: Transaction, reason: RefusalReason
) -> None:
    with pytest.raises(TransactionRefused) as refusal:
        add(pool, state, transaction)
    assert refusal.value.reason is reason
    assert len(pool) == 0


def test_a_blocked_sender_is_refused_from_its_block_on(state: State) -> None:
    pool = Mempool(replace(CHAIN, blocked_senders={RICH: 10}))
    pool.add(sign(5), state, GAS_LIMIT, 9)
    with pytest.raises(TransactionRefused, match="blocked"):
        pool.add(sign(6), state, GAS_LIMIT, 10)


def test_an_upload_has_its_own_intrinsic_gas(pool: Mempool, state: State) -> None:
    state.set_upload(POOR, 100)
    with pytest.raises(TransactionRefused, match="277777"):
        add(pool, state, sign(5, gas=277_776))
    add(pool, state, sign(5, gas=277_777))
    add(pool, state, sign(6, value=1, gas=21_000))


def test_the_best_price_goes_first_in_each_senders_order(pool: Mempool, state: State) -> None:
    sent = [sign(5, price=10), sign(6, price=99), sign(0, RICH, price=50, key=POOR_KEY)]
    for transaction in reversed(sent):
        add(pool, state, transaction)
    order = [w.transaction for w in pool.ready(state, set())]
    assert order == [sent[2], sent[0], sent[1]]


def test_nothing_after_a_gap_or_a_skipped_one_is_ready(pool: Mempool, state: State) -> None:
    for nonce in (5, 6, 8):
        add(pool, state, sign(nonce))
    assert [w.transaction.nonce for w in pool.ready(state, set())] == [5, 6]
    assert pool.next_nonce(RICH, state) == 7
    skip: set[bytes] = set()
    seen = []
    for waiting in pool.ready(state, skip):
        seen.append(waiting.transaction.nonce)
        skip.add(waiting.sender)
    assert seen == [5]


def test_a_replacement_must_pay_a_tenth_more(pool: Mempool, state: State) -> None:
    old, cheap, dear = sign(5, price=100), sign(5, price=109, value=1), sign(5, price=110)
    add(pool, state, old)
    with pytest.raises(TransactionRefused) as refusal:
        add(pool, state, cheap)
    assert refusal.value.reason is Reason.REPLACEMENT_UNDERPRICED
    assert add(pool, state, dear) == [old.hash()]
    assert len(pool) == 1 and dear.hash() in pool
    with pytest.raises(TransactionRefused, match="already known"):
        add(pool, state, dear)


def test_a_full_pool_lets_the_cheapest_go_for_a_dearer(state: State) -> None:
    pool = Mempool(CHAIN, PoolLimits(transactions=3))
    keys = [bytes([n]) * 32 for n in range(1, 6)]
    for key in keys:
        state.set_balance(private_address(key), COIN)
    prices = zip(keys, (30, 10, 20), strict=False)
    first = [sign(0, key=key, price=price) for key, price in prices]
    for transaction in first:
        add(pool, state, transaction)
    with pytest.raises(TransactionRefused) as refusal:
        add(pool, state, sign(0, key=keys[3], price=10))
    assert refusal.value.reason is Reason.POOL_FULL
    assert add(pool, state, sign(0, key=keys[4], price=11)) == [first[1].hash()]
    assert len(pool) == 3 and first[1].hash() not in pool


def test_what_was_included_elsewhere_goes(pool: Mempool, state: State) -> None:
    for nonce in (5, 6, 7):
        add(pool, state, sign(nonce))
    state.set_nonce(RICH, 7)
    assert len(pool.prune(state)) == 2
    assert [w.transaction.nonce for w in pool.ready(state, set())] == [7]
