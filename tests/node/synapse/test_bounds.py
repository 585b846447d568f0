"""What the service refuses, and how it stays up under who means it no good."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from node.synapse.callers import Callers
from node.synapse.door import LOG_LINES, LogRate
from node.synapse.settings import SynapseSettings
from tests.node.synapse.go_client import GoClient, RuntimeError_
from tests.node.synapse.running import Running, running, until
from tests.node.workshop import dense_model

ADDRESS = "0x" + "00" * 20
PRICE = json.dumps({"type": 3, "model": ADDRESS}).encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("models")
    bounds = {
        "receive_seconds": 1.0,
        "max_body_bytes": 100_000,
    }
    with running(root, **bounds) as found:
        yield found


def refused_text(answer: httpx.Response) -> str:
    assert answer.status_code == 200 and answer.json()["info"] == "error"
    return bytes.fromhex(answer.json()["data"][2:]).decode()


def is_cut(caller: socket.socket, seconds: float = 10.0) -> bool:
    caller.settimeout(seconds)
    try:
        return caller.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_strangers_request_is_answered_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path, allow=("10.0.0.0/8",)) as served:
        base = f"http://127.0.0.1:{served.port}"
        text = refused_text(httpx.post(f"{base}/infer", content=PRICE))
        assert text.endswith("127.0.0.1 is on no list of allowed callers")
        assert httpx.get(f"{base}/metrics").status_code == 403
        assert httpx.get(f"{base}/healthz").status_code == 403
        line = 'synapse_requests_total{outcome="refused",type="unread"}'
        assert served.count(line) == 1


def test_networks_of_both_kinds() -> None:
    callers = Callers(SynapseSettings(allow=("10.1.0.0/16", "fd00::/8"), first=("10.1.2.3/32",)))
    for address in ("10.1.9.9", "fd00::1", "::ffff:10.1.0.1"):
        assert callers.is_allowed(address)
    for address in ("10.2.0.1", "::1", "", "nonsense", "fe80::1%eth0"):
        assert not callers.is_allowed(address)
    assert callers.is_first("10.1.2.3") and not callers.is_first("10.1.2.4")


def test_a_huge_body_is_not_read(served: Running) -> None:
    answer = httpx.post(f"http://127.0.0.1:{served.port}/infer", content=bytes(100_001))
    assert refused_text(answer).endswith("a request has at most 100000 bytes")
    with GoClient(served.port) as client, pytest.raises(RuntimeError_):
        client.send_body(bytes(50_000_000))
    with GoClient(served.port) as client, pytest.raises(RuntimeError_, match="is not here"):
        client.send_body(PRICE)


def test_all_bodies_together_are_bounded(tmp_path: Path) -> None:
    """Each of two is short enough."""
    with (
        running(tmp_path, max_body_bytes=100_000, max_waiting_bytes=150_000) as served,
        socket.create_connection(("127.0.0.1", served.port)) as slow,
    ):
        slow.sendall(b"POST /infer HTTP/1.1\r\nContent-Length: 99000\r\n\r\n" + bytes(90_000))
        until(lambda: served.service.describe()["held_bytes"] == 90_000, "it is read")
        answer = httpx.post(f"http://127.0.0.1:{served.port}/infer", content=bytes(90_000))
        assert refused_text(answer).endswith("requests of 150000 bytes wait already")
        slow.close()
        until(lambda: served.service.describe()["held_bytes"] == 0, "it is forgotten")
        answer = httpx.post(f"http://127.0.0.1:{served.port}/infer", content=bytes(90_000))
        assert refused_text(answer).startswith("unknown request property type")


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"POST /infer HTTP/1.1\r\nX-A: b",
        b"POST /infer HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc",
        b"POST /infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_who_dawdles_is_cut_off(served: Running, beginning: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as slow:
        slow.sendall(beginning)
        assert is_cut(slow)


def test_drop_by_drop_is_no_way_around(served: Running) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", served.port)) as slow:
        slow.settimeout(0.05)
        with pytest.raises(OSError):
            for byte in b"POST /infer HTTP/1.1\r\n" + b"X-A: b\r\n" * 1000:
                slow.sendall(bytes((byte,)))
                time.sleep(0.02)
    assert time.monotonic() - began < 20


def test_a_kept_connection_may_rest_between_requests(served: Running) -> None:
    with GoClient(served.port) as client:
        for pause in (0.0, 1.2):
            time.sleep(pause)
            with pytest.raises(RuntimeError_, match="is not here"):
                client.send_body(PRICE)


def test_one_caller_has_so_many_connections(tmp_path: Path) -> None:
    with running(tmp_path, max_connections_per_caller=20) as served:

        def count() -> int:
            return int(served.service.describe()["connections"])

        with ExitStack() as open_ones:
            for _ in range(20):
                one = socket.create_connection(("127.0.0.1", served.port))
                open_ones.enter_context(one)
            until(lambda: count() == 20, "all are there")
            with socket.create_connection(("127.0.0.1", served.port)) as extra:
                assert is_cut(extra)
        until(lambda: count() == 0, "all are gone")
        with GoClient(served.port) as client, pytest.raises(RuntimeError_, match="is not here"):
            client.send_body(PRICE)


def test_a_caller_does_not_say_who_he_is(tmp_path: Path) -> None:
    with running(tmp_path, allow=("10.0.0.0/8",)) as served:
        forged = {"X-Forwarded-For": "10.0.0.1"}
        answer = httpx.post(f"http://127.0.0.1:{served.port}/infer", content=PRICE, headers=forged)
        assert "127.0.0.1 is on no list" in refused_text(answer)


@pytest.mark.parametrize(
    "beginning",
    [
        b"POST /infer HTTP/1.1\r\nX: ",
        b"POST /",
        b"POST /infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
    ],
)
def test_a_head_without_end_is_cut_off(tmp_path: Path, beginning: bytes) -> None:
    with running(tmp_path, receive_seconds=60.0) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as caller:
            caller.settimeout(10)
            with pytest.raises(OSError, match=r"(?i)reset|pipe"):
                caller.sendall(beginning)
                for _ in range(100):
                    caller.sendall(b"a" * 100_000)
        with GoClient(served.port) as client, pytest.raises(RuntimeError_, match="is not here"):
            client.send_body(PRICE)


def test_no_http_at_all(served: Running) -> None:
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", bytes(1000)):
        with socket.create_connection(("127.0.0.1", served.port)) as caller:
            caller.sendall(noise)
            caller.settimeout(10)
            answer = caller.recv(1000)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_several_requests_at_once_in_one_connection(served: Running) -> None:
    head = b"POST /infer HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(PRICE)
    with socket.create_connection(("127.0.0.1", served.port)) as caller:
        caller.settimeout(10)
        caller.sendall((head + PRICE) * 3)
        answers = b""
        while answers.count(b'"info":"error"') < 3:
            chunk = caller.recv(10_000)
            assert chunk, answers
            answers += chunk


def test_a_callers_rate_makes_him_wait() -> None:
    now = [100.0]
    callers = Callers(SynapseSettings(requests_per_second=10), lambda: now[0])
    assert [callers.take_turn("a") for _ in range(10)] == [0.0] * 10
    assert [round(callers.take_turn("a"), 6) for _ in range(3)] == [0.1, 0.2, 0.3]
    assert callers.take_turn("b") == 0.0
    now[0] += 0.3
    assert callers.take_turn("a") == pytest.approx(0.1)
    callers.give_back("a")
    assert callers.take_turn("a") == pytest.approx(0.1)


def test_a_rate_is_held_by_waiting_not_by_refusing(tmp_path: Path) -> None:
    with running(tmp_path, requests_per_second=20) as served:
        model = served.storage.put_model(*dense_model())
        with GoClient(served.port) as client:
            began = time.monotonic()
            for _ in range(30):
                assert client.gas(model) == 189
            assert time.monotonic() - began > 0.4


def test_a_flood_of_failures_is_few_lines() -> None:
    now = [0.0]
    rate = LogRate(lambda: now[0])
    assert [rate.take() for _ in range(LOG_LINES)] == [0] * LOG_LINES
    assert [rate.take() for _ in range(7)] == [None] * 7
    now[0] = 1.0
    assert [rate.take(), rate.take()] == [7, 0]


def test_hostile_requests_do_not_disturb_others(tmp_path: Path) -> None:
    """A node goes on at its pace while others send nonsense."""
    with running(tmp_path) as served:
        model = served.storage.put_model(*dense_model())
        ending = threading.Event()

        def disturb() -> None:
            while not ending.is_set():
                connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
                connection.request("POST", "/infer", b'{"type":2,"model":' + b"[" * 1000)
                connection.getresponse().read()
                connection.close()

        others = [threading.Thread(target=disturb) for _ in range(3)]
        for each in others:
            each.start()
        try:
            with GoClient(served.port) as client:
                for _ in range(100):
                    assert client.gas(model) == 189
        finally:
            ending.set()
            for each in others:
                each.join(10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline_seconds": 15.0},
        {"engine": "gpu"},
        {"listen": "4321"},
        {"listen": ":1"},
        {"allow": ("10.0.0.1/8",)},
        {"allow": ("somewhere",)},
        {"follow": "node:8545"},
        {"threads": 0},
        {"cross_check_ratio": 1.5},
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SynapseSettings(**wrong).check()  # type: ignore[arg-type]
