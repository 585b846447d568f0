"""The trie: the official vectors, and a dict as its model."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.spec import rlp
from node.spec.crypto import EMPTY_ROOT, keccak
from node.spec.trie import MemoryStore, MissingNode, Trie, ordered_root

OFFICIAL = (
    ("trietest", False),
    ("trieanyorder", False),
    ("trietest_secureTrie", True),
    ("trieanyorder_secureTrie", True),
    ("hex_encoded_securetrie_test", True),
)


def _bytes(text: str | None) -> bytes:
    if text is None:
        return b""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode("latin-1")


@pytest.mark.parametrize(("name", "secure"), OFFICIAL)
def test_official_roots(ethereum_folder: Path, name: str, secure: bool) -> None:
    cases = json.loads((ethereum_folder / f"{name}.json").read_text())
    assert cases
    for title, case in cases.items():
        pairs = case["in"].items() if isinstance(case["in"], dict) else case["in"]
        assert _root_in_steps(pairs, secure).hex() == case["root"][2:], title


def _root_in_steps(pairs: Any, secure: bool) -> bytes:
    """Written, stored and loaded again every third step."""
    store, root = MemoryStore(), EMPTY_ROOT
    trie = Trie(store, root, secure)
    for index, (key, value) in enumerate(pairs):
        trie.set(_bytes(key), _bytes(value))
        if index % 3 == 0:
            trie = Trie(store, trie.commit(), secure)
    return trie.commit()


STEPS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=3).map(lambda key: bytes(b & 0x13 for b in key)),
        st.one_of(st.just(b""), st.binary(min_size=1, max_size=40)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_it_behaves_as_a_dict_whatever_the_order(steps: list[tuple[bytes, bytes]]) -> None:
    trie, model = Trie(MemoryStore()), dict[bytes, bytes]()
    for key, value in steps:
        trie.set(key, value)
        model.pop(key, None)
        if value:
            model[key] = value
        assert trie.get(key) == (value or None)
    fresh = Trie(MemoryStore())
    for key in sorted(model):
        fresh.set(key, model[key])
    assert trie.root() == fresh.root()
    assert all(trie.get(key) == model.get(key) for key, _ in steps)
    for key in model:
        trie.delete(key)
    assert trie.commit() == EMPTY_ROOT


def test_a_proof_leads_from_the_root_to_the_value() -> None:
    trie = Trie(MemoryStore())
    for number in range(200):
        trie.set(number.to_bytes(2, "big"), bytes([number]) * 40)
    proof = trie.prove((77).to_bytes(2, "big"))
    assert keccak(proof[0]) == trie.root()
    for parent, child in pairwise(proof):
        assert keccak(child) in parent
    assert rlp.decode_list(rlp.decode(proof[-1]))[1] == bytes([77]) * 40


def test_nothing_is_stored_before_commit_and_a_lost_node_is_named() -> None:
    store = MemoryStore()
    trie = Trie(store)
    for number in range(50):
        trie.set(bytes([number]), bytes(40))
    root = trie.root()
    assert not store
    assert trie.commit() == root
    del store[root]
    with pytest.raises(MissingNode, match=root.hex()):
        Trie(store, root).get(b"\1")


def test_the_empty_list_has_the_empty_root() -> None:
    assert ordered_root([]) == EMPTY_ROOT
