"""Subscriptions over WebSocket, with web3.py and with a bare client."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from web3 import AsyncWeb3, WebSocketProvider
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from node.peers.board import SyncProgress
from node.spec.transition import created_address
from tests.node.rpc.running import Running
from tests.node.workshop import (
    CHAIN,
    COIN,
    OTHER_MINER,
    POOR,
    RICH,
    Clock,
    mine,
    open_node,
    sign,
)

#: Creation code that logs nothing in particular and leaves no code: LOG0.
LOGGING = bytes.fromhex("60006000a0")

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


async def test_a_foreign_page_gets_no_socket(running: Running) -> None:
    for origin in ("http://evil.example", "null"):
        with pytest.raises(InvalidStatus):
            async with connect(running.url.replace("http", "ws"), origin=Origin(origin)):
                pass


async def test_logs_come_and_are_taken_back(running: Running, tmp_path: Path) -> None:
    node = running.service.node
    address = created_address(RICH, 0)
    async with connect(running.url.replace("http", "ws")) as socket:
        query = {"address": "0x" + address.hex()}
        ident = await ask(socket, "eth_subscribe", "logs", query)
        node.send(sign(0, None, data=LOGGING))
        await running.mine()
        message = await hear(socket)
        assert message["method"] == "eth_subscription"
        assert message["params"]["subscription"] == ident
        entry = message["params"]["result"]
        assert (entry["blockNumber"], entry["removed"]) == ("0x1", False)
        await asyncio.to_thread(overtake, running, tmp_path / "rival")
        assert (await hear(socket))["params"]["result"] == {**entry, "removed": True}
        assert await ask(socket, "eth_unsubscribe", ident) is True
        assert await ask(socket, "eth_unsubscribe", ident) is False


async def test_headers_have_the_fields_of_the_namespace(running: Running) -> None:
    async with connect(running.url.replace("http", "ws")) as socket:
        await ask(socket, "eth_subscribe", "newHeads")
        await ask(socket, "ctxc_subscribe", "newHeads")
        await running.mine()
        heard = [await hear(socket) for _ in range(2)]
    headers = {message["method"]: message["params"]["result"] for message in heard}
    assert "solution" not in headers["eth_subscription"]
    assert len(headers["ctxc_subscription"]["solution"]) == CHAIN.proof_size
    common = headers["eth_subscription"].items()
    assert common <= headers["ctxc_subscription"].items()


async def test_the_start_and_the_end_of_syncing_are_told(running: Running) -> None:
    node = running.service.node
    async with connect(running.url.replace("http", "ws")) as socket:
        await ask(socket, "eth_subscribe", "syncing")
        node.peer_board = replace(node.peer_board, syncing=SyncProgress(0, 9))
        status = (await hear(socket))["params"]["result"]
        assert status["syncing"] is True and status["status"]["highestBlock"] == "0x9"
        node.peer_board = replace(node.peer_board, syncing=None)
        assert (await hear(socket))["params"]["result"] is False


def overtake(running: Running, home: Path) -> None:
    """A longer branch comes from elsewhere."""
    clock = Clock()
    clock.now = time.time() - 60
    rival = open_node(home, clock, OTHER_MINER)
    for _ in range(3):
        running.service.node.import_block(mine(rival, clock))
    assert running.service.node.head() == rival.head()
    rival.close()
