"""The service as a CortexTheseus node meets it: every kind of reply, to the byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from node.chains.cortex import DOLORES, MAINNET
from node.models.input_file import write_input
from node.spec import rlp
from node.spec.crypto import keccak
from node.spec.cvm import load, run
from node.spec.cvm.writer import ModelWriter
from node.synapse.messages import count_reply, outage
from node.synapse.networks import find_rules
from tests.node.synapse.go_client import GoClient, LogicError, RuntimeError_
from tests.node.synapse.running import Running, running
from tests.node.workshop import dense_model

INPUT = np.array([[1, 2, 3, 4, 5, 6]], np.int8)
RESULT = bytes.fromhex("0000005b000000030000000f")
ABSENT = b"\xab" * 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("models")) as found:
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


@pytest.mark.parametrize(
    ("symbol", "error"), [(b"{}", LogicError), (b"none", RuntimeError_), (b"[]", RuntimeError_)]
)
def test_a_broken_symbol_has_no_price(
    client: GoClient, served: Running, symbol: bytes, error: type[Exception]
) -> None:
    """The kernel's own kinds: what is no graph is at fault; what is no object of JSON it cannot
    run."""
    infohash = served.storage.put_model(symbol, b"none")
    with pytest.raises(error):
        client.gas(infohash)


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


def test_equal_requests_are_answered_from_the_cache(tmp_path: Path) -> None:
    with running(tmp_path) as served, GoClient(served.port) as client:
        model = served.storage.put_model(*dense_model())
        infohash = served.storage.put_input(write_input(INPUT))
        for _ in range(3):
            assert client.infer_by_content(model, INPUT.tobytes()) == RESULT
            assert client.gas(model) == 189
        assert served.count('synapse_results_total{source="computed"}') == 2
        assert served.count('synapse_results_total{source="cache"}') == 4
        # The input's name is not known yet, its content is.
        assert [client.infer_by_hash(model, infohash) for _ in range(2)] == [RESULT] * 2
        assert served.count('synapse_results_total{source="cache"}') == 5


def test_the_official_results_of_history(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand before any file, on whichever network but the farm's own."""
    model, infohash = bytes(20), b"\x01" * 20
    key = keccak(rlp.encode(f"{model.hex()}_{infohash.hex()}".encode()))
    content = keccak(rlp.encode(f"{model.hex()}_{keccak(rlp.encode(b'abc')).hex()}".encode()))
    monkeypatch.setitem(MAINNET.fixed_results, key, b"history")  # type: ignore[arg-type]
    monkeypatch.setitem(MAINNET.fixed_results, content, b"array")  # type: ignore[arg-type]
    for network in (21, 42, 43, 44, 7):
        with GoClient(served.port, network_id=network) as client:
            assert client.infer_by_hash(model, infohash) == b"history"
            assert client.infer_by_content(model, b"abc") == b"array"
    with GoClient(served.port, network_id=20260) as client, pytest.raises(RuntimeError_):
        client.infer_by_hash(model, infohash)


def test_history_stands_before_what_was_computed(
    client: GoClient, served: Running, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    infohash = served.storage.put_input(write_input(INPUT))
    assert client.infer_by_hash(model, infohash) == RESULT
    key = keccak(rlp.encode(f"{model.hex()}_{infohash.hex()}".encode()))
    monkeypatch.setitem(MAINNET.fixed_results, key, b"history")  # type: ignore[arg-type]
    assert client.infer_by_hash(model, infohash) == b"history"


def test_networks() -> None:
    """42, 44 and private ones differ from mainnet in nothing that inference meets."""
    for network, chain in ((21, MAINNET), (42, MAINNET), (43, DOLORES), (44, MAINNET)):
        assert find_rules(network) == chain
        assert len(chain.fixed_results) == 2
    assert find_rules(20260).vm.extended_models and not find_rules(21).vm.extended_models


def test_a_model_that_dolores_replaces(served: Running) -> None:
    replaced, by = next(iter(DOLORES.replaced_models.items()))
    for network, named in ((43, by), (21, replaced)):
        with (
            GoClient(served.port, network_id=network) as client,
            pytest.raises(RuntimeError_, match=named.hex()),
        ):
            client.gas(replaced)


def test_the_extension_form_is_of_the_farms_own_network(served: Running) -> None:
    writer = ModelWriter(extended=True)
    data = writer.add_input((1, 4), 8)
    model = served.storage.put_model(*writer.finish([writer.add("relu", "r", [data])]))
    with GoClient(served.port, network_id=20260) as client:
        assert client.infer_by_content(model, bytes((1, 255, 3, 4))) == bytes((1, 0, 3, 4))
    for network in (21, 42, 43, 44, 7):
        with GoClient(served.port, network_id=network) as client, pytest.raises(RuntimeError_):
            client.infer_by_content(model, bytes((1, 255, 3, 4)))


def test_other_pages(served: Running) -> None:
    base = f"http://127.0.0.1:{served.port}"
    state = httpx.get(f"{base}/healthz").json()
    assert state["ok"] and state["requests"]["ok"] > 0 and state["resident_models"] > 0
    text = httpx.get(f"{base}/metrics").text
    assert 'synapse_requests_total{outcome="ok",type="gas"}' in text
    assert "synapse_request_seconds_bucket" in text and "synapse_resident_bytes" in text
    assert httpx.get(f"{base}/").status_code == 404
    asked = httpx.get(f"{base}/infer")
    assert asked.status_code == 200
    text = bytes.fromhex(asked.json()["data"][2:]).decode()
    assert (text, asked.json()["info"]) == ("request method not POST", "error")


def test_no_outage_can_be_taken_for_a_fault() -> None:
    for text in ("cvm kernel logic error", "", "é" * 1000):
        assert outage(text).data != b"cvm kernel logic error"
        assert outage(text).data.startswith(b"cvm kernel runtime error: ")
    assert len(count_reply(0).data) == len(count_reply(2**64 - 1).data) == 8
