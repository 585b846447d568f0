"""Proofs show what is there and what is not, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.spec.crypto import EMPTY_ROOT
from node.spec.proof import InvalidProof, prove_item, read_account, read_item, read_proof, read_slot
from node.spec.state import State
from node.spec.trie import MemoryStore, Trie, ordered_root
from node.spec.types import Account

KEYS = st.binary(min_size=1, max_size=3)
VALUES = st.binary(min_size=1, max_size=40)
RICH, POOR, NOBODY = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=12), KEYS, st.booleans())
@example({b"?": b"0", b"?00": b"1" * 10}, b"0", False)  # a value in the branch of an extension
def test_a_proof_shows_a_value_or_its_absence(
    entries: dict[bytes, bytes], key: bytes, secure: bool
) -> None:
    trie = Trie(MemoryStore(), secure=secure)
    for name, value in entries.items():
        trie.set(name, value)
    for wanted in (key, *entries):
        nodes = trie.prove(wanted)
        assert read_proof(trie.root(), wanted, nodes, secure) == entries.get(wanted)
        for place in range(len(nodes)):
            with pytest.raises(InvalidProof, match="not whole"):
                read_proof(trie.root(), wanted, nodes[:place] + nodes[place + 1 :], secure)
            flipped = [*nodes]
            flipped[place] = bytes([nodes[place][0] ^ 1]) + nodes[place][1:]
            with pytest.raises(InvalidProof):
                read_proof(trie.root(), wanted, flipped, secure)


def test_nothing_is_in_an_empty_trie() -> None:
    assert read_proof(EMPTY_ROOT, b"key", [], secure=True) is None
    assert read_proof(EMPTY_ROOT, b"key", [b"\xc0"], secure=True) is None


def test_accounts_and_slots() -> None:
    store = MemoryStore()
    state = State(store)
    state.set_balance(RICH, 7)
    state.set_upload(RICH, 5)
    state.set_num(RICH, 3)
    state.set_balance(POOR, 1)
    for slot in range(40):
        state.set_storage(RICH, slot, slot + 1)
    root = state.root()
    state = State(store, root)
    account = read_account(root, RICH, state.prove_account(RICH))
    assert account is not None
    assert (account.balance, account.upload, account.num) == (7, 5, 3)
    assert read_account(root, NOBODY, state.prove_account(NOBODY)) is None
    for slot, value in ((0, 1), (39, 40), (40, 0)):
        proof = state.prove_storage(RICH, slot)
        assert read_slot(account.storage_root, slot, proof) == value
    with pytest.raises(InvalidProof):
        read_account(root, RICH, state.prove_account(RICH)[:-1])
    poor = read_account(root, POOR, state.prove_account(POOR))
    assert poor == Account(balance=1)


@pytest.mark.parametrize("count", [1, 2, 17, 200])
def test_items_of_a_list(count: int) -> None:
    values = [bytes([i % 256]) * (1 + i % 50) for i in range(count)]
    root = ordered_root(values)
    for index in {0, count // 2, count - 1}:
        assert read_item(root, index, prove_item(values, index)) == values[index]
        with pytest.raises(InvalidProof):
            read_item(root, index, prove_item(values, index)[1:])
    assert read_item(root, count, prove_item(values, count)) is None
