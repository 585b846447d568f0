"""Transactions and blocks: what they cost, whom they pay, and why they are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from node.spec import transition as rules
from node.spec.errors import InvalidBlock, InvalidTransaction, Reason
from node.spec.gas import UPLOAD_GAS, intrinsic_gas
from node.spec.meta import ModelMeta
from node.spec.types import Block, Header, Transaction
from node.spec.vm import Outcome
from node.spec.vm.errors import OutOfGas
from tests.node.spec.growing import MINER, SENDER, Farm, NoEngine

GWEI = 10**9
OTHER = b"\x44" * 20
COIN = 10**18


def refuse(farm: Farm, transaction: Transaction) -> Reason:
    with pytest.raises(InvalidTransaction) as refused:
        farm.build((transaction,))
    return refused.value.reason


def test_a_transfer_moves_value_and_pays_the_miner(farm: Farm) -> None:
    before = farm.state().get_balance(SENDER)
    (receipt,) = farm.add(farm.sign(OTHER, value=5 * COIN, gas=30_000))
    assert (receipt.succeeded, receipt.gas_used) == (True, 21_000)
    state = farm.state()
    assert state.get_balance(OTHER) == 5 * COIN
    assert state.get_balance(SENDER) == before - 5 * COIN - 21_000 * GWEI
    assert state.get_balance(MINER) == 7 * COIN + 21_000 * GWEI
    assert state.get_nonce(SENDER) == 1
    assert farm.head.supply == 7 * COIN


def test_intrinsic_gas() -> None:
    data = b"\0\0\1"
    assert intrinsic_gas(b"", creates=False, uploads=False, istanbul=True) == 21_000
    assert intrinsic_gas(data, creates=True, uploads=False, istanbul=True) == 53_000 + 8 + 16
    assert intrinsic_gas(data, creates=False, uploads=False, istanbul=False) == 21_000 + 8 + 68
    assert intrinsic_gas(data, creates=False, uploads=True, istanbul=True) == 277_777 + 8 + 16


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda farm: farm.sign(OTHER, ahead=1), Reason.NONCE_TOO_HIGH),
        (lambda farm: farm.sign(OTHER, ahead=-1), Reason.NONCE_TOO_LOW),
        (lambda farm: farm.sign(OTHER, value=10**25), Reason.INSUFFICIENT_BALANCE),
        (lambda farm: farm.sign(OTHER, gas_price=10**20), Reason.INSUFFICIENT_BALANCE),
        (lambda farm: farm.sign(OTHER, gas=20_999), Reason.INTRINSIC_GAS),
        (lambda farm: farm.sign(None, gas=52_999), Reason.INTRINSIC_GAS),
        (lambda farm: farm.sign(OTHER, gas=8_000_001), Reason.GAS_LIMIT_REACHED),
    ],
)
def test_refusals(farm: Farm, make: Callable[[Farm], Transaction], reason: Reason) -> None:
    farm.add(farm.sign(OTHER))
    assert refuse(farm, make(farm)) is reason


def test_a_blocked_sender_makes_the_block_invalid(farm: Farm) -> None:
    farm.chain = replace(farm.chain, blocked_senders={SENDER: 2})
    farm.add(farm.sign(OTHER))
    assert refuse(farm, farm.sign(OTHER)) is Reason.BLOCKED_SENDER


def test_a_refused_transaction_changes_nothing_and_the_next_is_taken(farm: Farm) -> None:
    context = rules.block_context(farm.chain, farm.build().header, lambda number: bytes(32))
    state = farm.state()
    block = rules.BlockTransition(context, state, NoEngine(), 0)
    with pytest.raises(InvalidTransaction):
        block.apply(farm.sign(OTHER, value=10**25))
    assert (block.gas_used, state.root()) == (0, farm.head.state_root)
    assert block.apply(farm.sign(OTHER)).receipt.succeeded


CREATE_MODEL = ModelMeta(b"m", b"\xab" * 20, 600_000, (1, 2), (2,), 50, OTHER, 0).encode()


def _create_model(farm: Farm) -> bytes:
    (receipt,) = farm.add(farm.sign(None, data=CREATE_MODEL, gas=200_000))
    assert receipt.succeeded
    assert receipt.contract_address
    return receipt.contract_address


def test_uploads_move_on_by_half_a_mebibyte_until_the_model_is_there(farm: Farm) -> None:
    model = _create_model(farm)
    assert farm.state().get_upload(model) == 600_000
    (first,) = farm.add(farm.sign(model, gas=300_000))
    assert first.gas_used == UPLOAD_GAS
    assert farm.state().get_upload(model) == 600_000 - 524_288
    assert farm.head.quota_used == 524_288
    assert farm.state().get_num(model) == 1
    farm.add(farm.sign(model, gas=300_000))
    assert farm.state().get_upload(model) == 0
    assert farm.state().get_num(model) == farm.head.number == 3
    assert farm.head.quota_used == 600_000
    (after,) = farm.add(farm.sign(model, gas=300_000))
    assert after.gas_used == 21_000


def test_an_upload_waits_for_seeding(farm: Farm) -> None:
    farm.chain = replace(farm.chain, seeding_blocks=6)
    model = _create_model(farm)
    for _ in range(5):
        assert refuse(farm, farm.sign(model, gas=300_000)) is Reason.NOT_SEEDED
        farm.add()
    farm.add(farm.sign(model, gas=300_000))
    assert farm.head.number == 7


def test_an_upload_needs_quota_and_its_own_gas(farm: Farm) -> None:
    model = _create_model(farm)
    assert refuse(farm, farm.sign(model, gas=277_776)) is Reason.INTRINSIC_GAS
    farm.chain = replace(farm.chain, quota_per_block=65_536)
    assert farm.head.quota == 8_388_608
    head = replace(farm.head, quota=0)
    farm.blocks.append(Block(head))
    assert refuse(farm, farm.sign(model, gas=300_000)) is Reason.QUOTA_REACHED


def test_a_transfer_to_a_meta_contract_is_no_upload(farm: Farm) -> None:
    model = _create_model(farm)
    (receipt,) = farm.add(farm.sign(model, value=1, gas=300_000))
    assert receipt.gas_used < UPLOAD_GAS
    assert farm.state().get_upload(model) == 600_000


def _outcome(**fields: object) -> Outcome:
    values = {"gas_left": 50_000, "output": b"", "error": None} | fields
    return Outcome(**values)  # type: ignore[arg-type]


def _pay(farm: Farm, monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> tuple[int, int, int]:
    """Wei that the author, the miner and the gas cost, over one block whose call ends so."""
    monkeypatch.setattr(rules, "execute", lambda *arguments: outcome)
    before = farm.state().get_balance(SENDER)
    farm.add(farm.sign(b"\x55" * 20, gas=200_000))
    state = farm.state()
    return (
        state.get_balance(OTHER),
        state.get_balance(MINER) - 7 * COIN,
        before - state.get_balance(SENDER),
    )


def test_an_author_is_paid_out_of_the_miners_fee(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = _pay(farm, monkeypatch, _outcome(author_gas={OTHER: 1_000}))
    assert paid == (1_000 * GWEI, 149_000 * GWEI, 150_000 * GWEI)


def test_an_author_beyond_the_limit_or_of_a_failed_call_is_not(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = _pay(farm, monkeypatch, _outcome(author_gas={OTHER: rules.AUTHOR_GAS_LIMIT + 1}))
    assert paid == (0, 150_000 * GWEI, 150_000 * GWEI)


def test_an_author_of_a_failed_call_is_not_paid(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = _outcome(author_gas={OTHER: 10}, error=OutOfGas(), gas_left=0)
    assert _pay(farm, monkeypatch, failed)[0] == 0


def test_before_the_repair_running_out_of_gas_still_paid_the_author(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.chain = replace(farm.chain, author_paid_on_failure_before=16_000)
    failed = _outcome(author_gas={OTHER: 10}, error=OutOfGas(), gas_left=0)
    assert _pay(farm, monkeypatch, failed)[0] == 10 * GWEI


def test_half_of_the_gas_used_is_the_most_that_is_refunded(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = _pay(farm, monkeypatch, _outcome(refund=10**6))
    assert paid == (0, 75_000 * GWEI, 75_000 * GWEI)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gas_used": 21_001}, Reason.BAD_GAS_USED),
        ({"bloom": b"\1" + bytes(255)}, Reason.BAD_BLOOM),
        ({"receipts_root": bytes(32)}, Reason.BAD_RECEIPTS_ROOT),
        ({"state_root": bytes(32)}, Reason.BAD_STATE_ROOT),
        ({"transactions_root": bytes(32)}, Reason.BAD_TRANSACTIONS_ROOT),
        ({"uncles_hash": bytes(32)}, Reason.BAD_UNCLES_HASH),
        ({"quota_used": 2**60}, Reason.BAD_QUOTA),
        ({"coinbase": OTHER}, Reason.BAD_STATE_ROOT),
    ],
)
def test_a_block_must_say_what_it_does(
    farm: Farm, changes: dict[str, object], reason: Reason
) -> None:
    block = farm.build((farm.sign(OTHER, value=1),))
    assert len(farm.check(block)) == 1
    header = replace(block.header, **changes)  # type: ignore[arg-type]
    with pytest.raises(InvalidBlock) as refused:
        farm.check(replace(block, header=header))
    assert refused.value.reason is reason


def test_a_block_with_an_impossible_transaction_is_invalid(farm: Farm) -> None:
    good = farm.build((farm.sign(OTHER),))
    again = (*good.transactions, *good.transactions)
    header = replace(good.header, transactions_root=rules.transactions_root(again))
    with pytest.raises(InvalidBlock, match="transaction 1") as refused:
        farm.check(Block(header, again))
    assert refused.value.reason is Reason.NONCE_TOO_LOW


def test_uncles_are_rewarded(farm: Farm) -> None:
    farm.add()
    uncle: Header = replace(farm.build().header, coinbase=OTHER, extra=b"late")
    farm.add()
    block = farm.build(uncles=(uncle,))
    farm.check(block)
    farm.blocks.append(block)
    assert farm.state().get_balance(OTHER) == 7 * COIN * 7 // 8
    assert farm.state().get_balance(MINER) == 3 * 7 * COIN + 7 * COIN // 32
    assert farm.head.supply == 3 * 7 * COIN + 7 * COIN * 7 // 8 + 7 * COIN // 32
