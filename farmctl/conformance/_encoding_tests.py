"""Ethereum's official tests of RLP and of the trie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from farmctl.conformance import differs, unhex
from node.spec import rlp
from node.spec.crypto import EMPTY_ROOT
from node.spec.trie import MemoryStore, Trie


def check_rlp(case: dict[str, Any]) -> Iterator[str]:
    """``in`` is a value, or VALID or INVALID for whether ``out`` can be decoded at all."""
    encoded = unhex(case["out"])
    if case["in"] == "INVALID":
        try:
            yield f"should be refused, is read as {rlp.decode(encoded)!r}"
        except rlp.RlpError:
            return
    elif case["in"] != "VALID":
        yield from differs("the encoding", encoded, rlp.encode(_item(case["in"])))
    if case["in"] != "INVALID":
        yield from differs("decoded and encoded again", encoded, rlp.encode(rlp.decode(encoded)))


def check_trie(case: dict[str, Any], secure: bool) -> Iterator[str]:
    """``in`` is written in its order; every third step the trie is stored and loaded again."""
    steps = case["in"].items() if isinstance(case["in"], dict) else case["in"]
    store = MemoryStore()
    trie = Trie(store, EMPTY_ROOT, secure)
    for index, (key, value) in enumerate(steps):
        trie.set(_text(key), _text(value))
        if index % 3 == 0:
            trie = Trie(store, trie.commit(), secure)
    yield from differs("the root", unhex(case["root"]), trie.commit())


def _item(value: Any) -> rlp.Item:
    if isinstance(value, list):
        return [_item(part) for part in value]
    if isinstance(value, int):
        return rlp.encode_int(value)
    return rlp.encode_int(int(value[1:])) if value[:1] == "#" else value.encode("latin-1")


def _text(text: str | None) -> bytes:
    """Bytes as the tests have them: hex, text, or null for nothing."""
    if text is None:
        return b""
    return unhex(text) if text.startswith("0x") else text.encode("latin-1")
