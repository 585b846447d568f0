"""Subscriptions over WebSocket, with web3.py and with a bare client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from web3 import AsyncWeb3, WebSocketProvider
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.node.rpc.running import Running
from tests.node.workshop import COIN, POOR, sign

SECONDS = 20.0


async def ask(socket: ClientConnection, method: str, *params: Any) -> Any:
    await socket.send(json.dumps({"id": 1, "method": method, "params": params}))
    reply = await hear(socket)
    return reply.get("result", reply.get("error"))


async def hear(socket: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(socket.recv(), SECONDS))


async def test_web3_hears_of_blocks_and_transactions(running: Running) -> None:
    url = running.url.replace("http", "ws")
    async with AsyncWeb3(WebSocketProvider(url)) as w3:
        blocks = await w3.eth.subscribe("newHeads")
        pending = await w3.eth.subscribe("newPendingTransactions")
        transaction = sign(0, POOR, COIN)
        sent = await w3.eth.send_raw_transaction(transaction.encode())
        await running.mine()
        heard: dict[str, Any] = {}
        async for message in w3.socket.process_subscriptions():
            heard[message["subscription"]] = message["result"]
            if len(heard) == 2:
                break
        assert bytes(heard[pending]) == bytes(sent) == transaction.hash()
        assert heard[blocks]["number"] == 1
        assert bytes(heard[blocks]["hash"]) == running.service.node.head().hash()
        assert await w3.eth.unsubscribe(blocks)
        assert await w3.eth.block_number == 1


async def test_a_batch_and_an_unknown_topic(running: Running) -> None:
    async with connect(running.url.replace("http", "ws")) as socket:
        assert (await ask(socket, "eth_subscribe", "gossip"))["code"] == -32602
        await socket.send(json.dumps([{"id": n, "method": "eth_chainId"} for n in range(3)]))
        assert [r["id"] for r in await hear(socket)] == [0, 1, 2]
        await socket.send("{")
        assert (await hear(socket))["error"]["code"] == -32700
    assert (await running.rpc("eth_subscribe", "newHeads"))["code"] == -32601


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_foreign_page_gets_no_socket(running: Running, origin: str) -> None:
    with pytest.raises(InvalidStatus):
        async with connect(running.url.replace("http", "ws"), origin=origin):  # type: ignore[arg-type]
            pass
