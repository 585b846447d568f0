"""The bounds of the JSON-RPC: what is over one of them is refused, and says so."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from node.rpc import session
from node.rpc.rates import BURST_SECONDS, RateLimiter
from node.rpc.settings import BOUNDS, RpcSettings
from tests.node.rpc.running import Running, run_service
from tests.node.workshop import sign

SECONDS = 20.0


def request(method: str, *params: Any, ident: int = 1) -> dict[str, Any]:
    return {"id": ident, "method": method, "params": params}


async def test_requests_beyond_the_rate_are_told_to_come_again(tmp_path: Path) -> None:
    async with run_service(tmp_path, requests_per_second=1) as running:
        replies = []
        for _ in range(3):
            replies.append(await running.client.post(running.url, json=request("eth_chainId")))
        assert [r.status_code for r in replies] == [200, 200, 429]
        assert replies[2].json()["error"] == {
            "code": -32005,
            "message": "more than 1 requests a second; slow down",
        }


class TestRateLimiter:
    def test_tokens_come_back(self) -> None:
        now = 0.0
        rates = RateLimiter(10, lambda: now)
        burst = int(10 * BURST_SECONDS)
        assert [rates.take("a") for _ in range(burst + 1)] == [True] * burst + [False]
        assert rates.take("b")  # another address
        now = 0.1
        assert [rates.take("a") for _ in range(2)] == [True, False]

    def test_zero_lets_everything_through(self) -> None:
        rates = RateLimiter(0)
        assert all(rates.take("a") for _ in range(10_000))


async def test_a_body_a_batch_and_a_queue_have_bounds(tmp_path: Path) -> None:
    async with run_service(
        tmp_path, max_body_bytes=2048, max_batch=2, max_waiting=1, request_seconds=0.5
    ) as running:
        assert (await running.post(b" " * 2049))["error"]["code"] == -32600
        batch = [request("eth_chainId")] * 3
        assert (await running.post(json.dumps(batch).encode()))["error"]["code"] == -32600
        slow = {"data": "0x5b600056"}
        replies = await asyncio.gather(*(running.rpc("eth_call", slow) for _ in range(3)))
        assert {reply["code"] for reply in replies} >= {-32005}


async def test_a_socket_has_so_many_subscriptions_and_a_node_so_many_sockets(
    tmp_path: Path,
) -> None:
    async with run_service(tmp_path, max_websockets=1, max_subscriptions=1) as running:
        url = running.url.replace("http", "ws")
        async with connect(url) as first:
            for code in (None, -32000):
                await first.send(json.dumps(request("eth_subscribe", "newHeads")))
                reply = json.loads(await asyncio.wait_for(first.recv(), SECONDS))
                assert reply.get("error", {}).get("code") == code
            async with connect(url) as second:
                with pytest.raises(ConnectionClosed) as closed:
                    await asyncio.wait_for(second.recv(), SECONDS)
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
        async with connect(url) as third:  # there is room again
            await third.send(json.dumps(request("eth_chainId")))
            assert json.loads(await asyncio.wait_for(third.recv(), SECONDS))["result"]


async def test_who_does_not_read_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for them, and their place is free again."""
    monkeypatch.setattr(session, "MAX_WAITING_BYTES", 64 * 1024)
    loop = asyncio.get_running_loop()
    async with run_service(tmp_path, max_websockets=2) as running:
        port = running.service.rpc_port
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await loop.sock_sendall(deaf, _handshake(port))
        assert b"101" in await loop.sock_recv(deaf, 1024)
        watch = request("eth_subscribe", "newPendingTransactions", True)
        await loop.sock_sendall(deaf, _frame(watch))
        async with connect(running.url.replace("http", "ws")) as other:
            await other.send(json.dumps(request("eth_subscribe", "newPendingTransactions")))
            assert json.loads(await other.recv())["result"]
            for nonce in range(120):  # more than the kernel keeps for a connection
                transaction = sign(nonce, data=b"\1" * 20_000, gas=400_000)
                await asyncio.to_thread(running.service.node.send, transaction)
            for _ in range(120):
                await asyncio.wait_for(other.recv(), SECONDS)
            await _find_place(running)
        deaf.close()


async def _find_place(running: Running) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            async with connect(running.url.replace("http", "ws")) as socket:
                with suppress(ConnectionClosed):
                    await socket.send(json.dumps(request("eth_chainId")))
                    assert json.loads(await socket.recv())["result"]
                    return


def _handshake(port: int) -> bytes:
    return (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def _frame(body: dict[str, Any]) -> bytes:
    """A masked text frame; the mask is zeros."""
    text = json.dumps(body).encode()
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


@pytest.mark.parametrize(("name", "least", "most"), BOUNDS)
def test_settings_are_checked(name: str, least: float, most: float) -> None:
    RpcSettings().check()
    for wrong in (least - 1, most + 1):
        with pytest.raises(ValueError, match=name):
            RpcSettings(**{name: wrong}).check()  # type: ignore[arg-type]
