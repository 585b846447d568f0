"""Whatever comes as a request is a work or `Unreadable`, and whatever is asked has an answer."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from node.synapse.messages import (
    ContentWork,
    GasWork,
    HashWork,
    Reply,
    Unreadable,
    Work,
    read_work,
)

FORMS = {1: HashWork, 2: ContentWork, 3: GasWork}
NAMES = ("type", "model", "input", "modelSize", "inputSize", "cvm_version", "cvm_networkid", "x")
HEX = st.binary(max_size=24).map(lambda content: "0x" + content.hex())
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda content: "0x" + content.hex())
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=50),
    HEX,
    ADDRESSES,
    st.lists(st.integers(), max_size=3),
)


def read(body: bytes) -> Work | None:
    try:
        return read_work(body)
    except Unreadable as error:
        assert str(error).startswith(("unknown request property type", "data parse error"))
        return None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_bytes(body: bytes) -> None:
    read(body)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), ODD))
def test_fields_of_any_kind(fields: dict[str, Any]) -> None:
    work = read(json.dumps(fields).encode())
    if work is not None:
        assert type(work) is FORMS[fields["type"]] and len(work.model) == 20


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from((1, 2, 3)),
    ADDRESSES,
    ADDRESSES,
    st.binary(max_size=100),
    st.integers(0, 2**64 - 1),
    st.integers(0, 1),
    st.integers(-(2**63), 2**63 - 1),
)
def test_what_a_node_sends_is_read(
    kind: int, model: str, given_name: str, content: bytes, size: int, version: int, network: int
) -> None:
    fields: dict[str, Any] = {
        "type": kind,
        "model": model,
        "modelSize": size,
        "cvm_networkid": network,
    }
    if kind != 3:
        fields["input"] = given_name if kind == 1 else "0x" + content.hex()
        fields["cvm_version"] = version
    work = read_work(json.dumps(fields).encode())
    assert work.model.hex() == model[2:] and work.network_id == network
    if isinstance(work, ContentWork):
        assert work.input == content
    if isinstance(work, HashWork):
        assert "0x" + work.input.hex() == given_name


@given(st.binary(max_size=100), st.booleans())
def test_replies_are_json(data: bytes, is_ok: bool) -> None:
    found = json.loads(Reply(data, is_ok).encode())
    assert found == {"data": "0x" + data.hex(), "info": "ok" if is_ok else "error"}
