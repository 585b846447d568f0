"""The service as a CortexTheseus node meets it: every kind of reply, to the byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from node.models.input_file import write_input
from node.spec.cvm import load, run
from tests.node.synapse.go_client import GoClient, LogicError, RuntimeError_
from tests.node.synapse.running import Running, running
from tests.node.workshop import dense_model

INPUT = np.array([[1, 2, 3, 4, 5, 6]], np.int8)
RESULT = bytes.fromhex("0000005b000000030000000f")
ABSENT = b"\xab" * 20


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "models") as found:
        yield found


@pytest.fixture
def client(served: Running) -> Iterator[GoClient]:
    with GoClient(served.port) as found:
        yield found


@pytest.fixture
def model(served: Running) -> bytes:
    return served.storage.put_model(*dense_model())


def text_of(client: GoClient) -> str:
    """Of the last error."""
    return bytes.fromhex(json.loads(client.raw)["data"][2:]).decode("ascii")


def test_a_result_by_hash_to_the_byte(client: GoClient, served: Running, model: bytes) -> None:
    infohash = served.storage.put_input(write_input(INPUT))
    assert client.infer_by_hash(model, infohash) == RESULT
    assert client.raw == b'{"data":"0x' + RESULT.hex().encode() + b'","info":"ok"}'
    expected = run(load(*dense_model()), INPUT.tobytes())
    assert np.frombuffer(RESULT, ">i4").tolist() == np.frombuffer(expected, "<i4").tolist()


def test_a_result_by_content_whose_surplus_is_cut_off(client: GoClient, model: bytes) -> None:
    assert client.infer_by_content(model, INPUT.tobytes() + bytes(26), version=0) == RESULT


def test_a_price_has_eight_bytes(client: GoClient, model: bytes) -> None:
    assert client.gas(model) == load(*dense_model()).operations() == 189
    assert client.raw == b'{"data":"0x00000000000000bd","info":"ok"}'


def test_too_short_an_input_is_a_runtime_error(client: GoClient, model: bytes) -> None:
    with pytest.raises(RuntimeError_, match="the input has 5 bytes, the model needs 6"):
        client.infer_by_content(model, INPUT.tobytes()[:5])
    with pytest.raises(RuntimeError_, match="the input has 0 bytes"):
        client.infer_by_content(model, b"")


def test_a_file_that_is_no_input_is_a_logic_error(
    client: GoClient, served: Running, model: bytes
) -> None:
    infohash = served.storage.put_input(b"this is no array")
    with pytest.raises(LogicError):
        client.infer_by_hash(model, infohash)
    text = b"cvm kernel logic error".hex().encode()
    assert client.raw == b'{"data":"0x' + text + b'","info":"error"}'


def test_what_is_missing_is_a_runtime_error(client: GoClient, model: bytes) -> None:
    for ask in (
        lambda: client.gas(ABSENT),
        lambda: client.infer_by_content(ABSENT, b"\x01"),
        lambda: client.infer_by_hash(model, ABSENT),
    ):
        with pytest.raises(RuntimeError_, match="cvm kernel runtime error"):
            ask()


def test_a_broken_symbol_has_no_price(client: GoClient, served: Running) -> None:
    """The kernel's own kinds: what is no JSON at all it cannot run, what is no graph is at
    fault."""
    infohash = served.storage.put_model(b"{}", b"none")
    with pytest.raises((LogicError, RuntimeError_)) as caught:
        client.gas(infohash)
    from node.errors import ModelFault
    from node.models.loading import GraphLoader

    with pytest.raises(ModelFault) as fault:
        GraphLoader(served.storage).count_operations(infohash)
    assert isinstance(caught.value, LogicError) == fault.value.logic


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "unknown request property type"),
        (b"{", "unknown request property type"),
        (b"[]", "unknown request property type"),
        (b"{}", "unknown request property type"),
        (b"\xff\xfe", "unknown request property type"),
        (b'{"type":4,"infohash":"0x","rawSize":1}', "unknown request property type"),
        (b'{"type":0}', "unknown request property type"),
        (b'{"type":true,"model":"0x%b"}' % (b"00" * 20), "unknown request property type"),
        (b'{"type":"1"}', "unknown request property type"),
        (b'{"type":3}', "data parse error: model"),
        (b'{"type":3,"model":7}', "data parse error: model"),
        (b'{"type":3,"model":"0x12"}', "data parse error: model"),
        (b'{"type":2,"model":"0x%b"}' % (b"00" * 20), "data parse error: input"),
        (b'{"type":2,"model":"0x%b","input":"0x1"}' % (b"00" * 20), "data parse error: input"),
        (b'{"type":2,"model":"0x%b","input":"12"}' % (b"00" * 20), "data parse error: input"),
        (b'{"type":2,"model":"0x%b","input":"0x 1"}' % (b"00" * 20), "data parse error: input"),
        (b'{"type":3,"model":"0x%b","modelSize":-1}' % (b"00" * 20), "data parse error: modelSize"),
        (b'{"type":3,"model":"0x%b","modelSize":1.5}' % (b"00" * 20), "data parse error"),
        (
            b'{"type":2,"model":"0x%b","input":"0x","cvm_version":2}' % (b"00" * 20),
            "data parse error: cvm_version",
        ),
        (b"[" * 100_000, "unknown request property type"),
    ],
)
def test_what_cannot_be_read(client: GoClient, body: bytes, text: str) -> None:
    with pytest.raises(RuntimeError_):
        client.send_body(body)
    assert text_of(client).startswith(text)


def test_hex_in_any_case_and_without_its_sizes(client: GoClient, model: bytes) -> None:
    for name in (model.hex(), "0X" + model.hex().upper(), "0x" + model.hex()):
        assert client.send({"type": 2, "model": name, "input": "0X010203040506"}) == RESULT
    empty = {"type": 2, "model": model.hex(), "input": ""}
    with pytest.raises(RuntimeError_, match="the input has 0 bytes"):
        client.send(empty)


def test_equal_requests_are_answered_from_the_cache(
    client: GoClient, served: Running, model: bytes
) -> None:
    for _ in range(3):
        assert client.infer_by_content(model, INPUT.tobytes()) == RESULT
    assert served.count('synapse_results_total{source="computed"}') == 1
    assert served.count('synapse_results_total{source="cache"}') == 2
