"""RLP: the official vectors, and that no value has a second encoding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.spec import rlp

NESTED = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=4))


def _item(value: Any) -> rlp.Item:
    if isinstance(value, list):
        return [_item(part) for part in value]
    if isinstance(value, int):
        return rlp.encode_int(value)
    return rlp.encode_int(int(value[1:])) if value[:1] == "#" else value.encode("latin-1")


def test_official_encodings(ethereum_folder: Path) -> None:
    cases = json.loads((ethereum_folder / "rlptest.json").read_text())
    assert len(cases) > 20
    for name, case in cases.items():
        encoded = bytes.fromhex(case["out"].removeprefix("0x"))
        assert rlp.encode(_item(case["in"])) == encoded, name
        assert rlp.encode(rlp.decode(encoded)) == encoded, name


def test_official_refusals(ethereum_folder: Path) -> None:
    cases = json.loads((ethereum_folder / "invalidRLPTest.json").read_text())
    assert len(cases) > 20
    for name, case in cases.items():
        with pytest.raises(rlp.RlpError):
            rlp.decode(bytes.fromhex(case["out"].removeprefix("0x")))
            pytest.fail(name)


@given(NESTED)
@settings(max_examples=60, deadline=None)
def test_what_is_encoded_comes_back(item: Any) -> None:
    assert rlp.decode(rlp.encode(item)) == item


@given(st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_only_the_one_encoding_is_read(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except rlp.RlpError:
        return
    assert rlp.encode(item) == data


@pytest.mark.parametrize(
    "wrong", ["", "8100", "817f", "b800", "b80101", "b90001aa", "c1", "8361", "00ff", "f800"]
)
def test_refused(wrong: str) -> None:
    with pytest.raises(rlp.RlpError):
        rlp.decode(bytes.fromhex(wrong))


def test_nesting_is_bounded() -> None:
    data = b"\xc0"
    for _ in range(rlp.MAX_DEPTH + 1):
        data = _wrap(data)
    with pytest.raises(rlp.RlpError, match="nested"):
        rlp.decode(data)


def _wrap(data: bytes) -> bytes:
    size = len(data)
    if size < 56:
        return bytes((0xC0 + size,)) + data
    length = rlp.encode_int(size)
    return bytes((0xF7 + len(length),)) + length + data


def test_integers_have_bounds_and_no_leading_zeros() -> None:
    assert rlp.decode_int(rlp.encode_int(2**64 - 1), 8) == 2**64 - 1
    for wrong in (b"\0\1", b"\0", bytes(9), [b"\1"]):
        with pytest.raises(rlp.RlpError):
            rlp.decode_int(wrong, 8)
    with pytest.raises(rlp.RlpError):
        rlp.decode_int(rlp.encode_int(2**64), 8)
