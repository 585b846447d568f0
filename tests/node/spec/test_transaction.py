"""Transactions: who signed them, for which chain, and which signatures are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.chains import find_chain
from node.spec import rlp
from node.spec.crypto import CURVE_ORDER, private_address
from node.spec.errors import InvalidTransaction, Reason
from node.spec.types import Transaction

CHAIN = find_chain("farmnet")
SECRET = b"\5" * 32
PLAIN = Transaction(nonce=3, gas_price=7, gas=21_000, to=b"\1" * 20, value=9, data=b"hi")


def test_the_example_of_eip_155() -> None:
    """Key, fields and signature are those of the standard's text."""
    unsigned = Transaction(9, 20 * 10**9, 21_000, b"\x35" * 20, 10**18, b"")
    signed = unsigned.sign(b"\x46" * 32, 1)
    assert signed.signing_hash(1).hex() == (
        "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    )
    assert signed.v == 37
    assert signed.sender(replace(CHAIN, chain_id=1)) == private_address(b"\x46" * 32)


@pytest.mark.parametrize("chain_id", [None, CHAIN.chain_id])
def test_the_sender_is_found(chain_id: int | None) -> None:
    signed = PLAIN.sign(SECRET, chain_id)
    again = Transaction.decode(signed.encode())
    assert again == signed
    assert again.chain_id == chain_id
    assert again.sender(CHAIN) == private_address(SECRET)


def _reason(transaction: Transaction) -> Reason:
    with pytest.raises(InvalidTransaction) as refused:
        transaction.sender(CHAIN)
    return refused.value.reason


def test_another_chains_signature_is_refused() -> None:
    assert _reason(PLAIN.sign(SECRET, 21)) is Reason.WRONG_CHAIN


def test_the_upper_half_of_s_is_refused() -> None:
    signed = PLAIN.sign(SECRET, CHAIN.chain_id)
    other_parity = 2 * (35 + 2 * CHAIN.chain_id) + 1 - signed.v
    mirrored = replace(signed, s=CURVE_ORDER - signed.s, v=other_parity)
    assert _reason(mirrored) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "fields", [{"r": 0}, {"s": 0}, {"r": CURVE_ORDER}, {"v": 26}, {"v": 29}, {"v": 0}]
)
def test_impossible_signatures_are_refused(fields: dict[str, int]) -> None:
    assert _reason(replace(PLAIN.sign(SECRET, None), **fields)) is Reason.BAD_SIGNATURE


def test_a_change_makes_it_someone_elses() -> None:
    signed = PLAIN.sign(SECRET, CHAIN.chain_id)
    assert replace(signed, value=10).sender(CHAIN) != private_address(SECRET)


@pytest.mark.parametrize(
    "index_and_item",
    [(0, b"\0"), (0, bytes([1]) * 9), (3, b"\1" * 19), (4, b"\1" * 33), (5, []), (2, b"\0\1")],
)
def test_malformed_encodings_are_refused(index_and_item: tuple[int, rlp.Item]) -> None:
    items = PLAIN.sign(SECRET, CHAIN.chain_id).items()
    index, item = index_and_item
    items[index] = item
    with pytest.raises(rlp.RlpError):
        Transaction.decode(rlp.encode(items))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc0", b"\x02\xc0", b"not rlp at all"])
def test_what_is_no_transaction_is_refused(data: bytes) -> None:
    with pytest.raises(rlp.RlpError):
        Transaction.decode(data)
