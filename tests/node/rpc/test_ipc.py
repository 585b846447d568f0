"""The JSON-RPC on the Unix socket of the node's home."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
from web3 import AsyncIPCProvider, AsyncWeb3, IPCProvider, Web3

from node.rpc.ipc import Splitter
from node.rpc.server import SOCKET
from tests.node.rpc.running import Running, run_service

REQUESTS = [b'{"id":1,"method":"a"}', b'[{"id":2},{"id":"}]"}]', b'{"id":"\\"{[","m":{"n":[]}}']


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_stream_is_cut_at_the_ends_of_its_requests(size: int) -> None:
    stream = b"\n".join(REQUESTS) + b"".join(REQUESTS)
    splitter = Splitter()
    found = [
        request
        for at in range(0, len(stream), size)
        for request in splitter.feed(stream[at : at + size])
    ]
    assert [f.strip() for f in found] == REQUESTS * 2
    assert splitter.waiting_bytes == 0


async def test_web3_asks_and_listens(running: Running) -> None:
    path = running.service.node.home / SOCKET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    w3 = Web3(IPCProvider(path))
    assert await running.ask(lambda: w3.eth.chain_id) == 20260
    async with AsyncWeb3(AsyncIPCProvider(path)) as listening:
        await listening.eth.subscribe("newHeads")
        await running.mine()
        async for message in listening.socket.process_subscriptions():
            assert message["result"]["number"] == 1
            break


async def test_nonsense_ends_its_own_connection_alone(tmp_path: Path) -> None:
    async with run_service(tmp_path, max_body_bytes=2048) as running:
        path = running.service.node.home / SOCKET
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'}]{"id": 1, "method": "eth_chainId"}')
        answers = [json.loads(await reader.readline()) for _ in range(3)]
        assert [a.get("error", {}).get("code") for a in answers] == [-32700, -32700, None]
        writer.write(b"[" * 200_000)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        assert await running.rpc("eth_chainId") == hex(20260)
    assert not path.exists()
