"""A node's service as its clients see it, with a miner at hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from web3 import HTTPProvider, Web3

from farmctl.cycles import verify_cycle
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.rpc.settings import RpcSettings
from node.service import NodeService
from tests.node.workshop import CHAIN, MINER, solve


class Running:
    """A service on a free port, with a miner at hand."""

    def __init__(self, service: NodeService) -> None:
        self.service = service
        self.url = f"http://127.0.0.1:{service.rpc_port}"
        self.web3 = Web3(HTTPProvider(self.url))
        self.client = httpx.AsyncClient(timeout=60)

    async def ask(self, work: Callable[[], Any]) -> Any:
        """A blocking call of the client, off the service's loop."""
        return await asyncio.to_thread(work)

    async def mine(self) -> None:
        """Take the newest work by getWork, solve it, hand it in by submitWork."""
        await asyncio.to_thread(self.service.node.refresh_work)
        header = solve(self.service.node.desk.current().block.header)
        edges = b"".join(e.to_bytes(4, "big") for e in header.solution)
        assert await self.rpc(
            "eth_submitWork",
            "0x" + header.nonce.hex(),
            "0x" + header.seal_hash().hex(),
            "0x" + edges.hex(),
        )

    async def post(self, content: bytes) -> Any:
        return (await self.client.post(self.url, content=content)).json()

    async def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = await self.post(json.dumps(body).encode())
        return reply.get("result", reply.get("error"))


@asynccontextmanager
async def run_service(home: Path, **settings: Any) -> AsyncIterator[Running]:
    loader = GraphLoader(DirectoryStorage(home / "models"))
    engine = ReferenceEngine(loader)
    rpc = replace(RpcSettings(), **settings)
    service = NodeService(CHAIN, home, loader, engine, MINER, verify_cycle, rpc_port=0, rpc=rpc)
    await service.start()
    running = Running(service)
    try:
        yield running
    finally:
        await running.client.aclose()
        await service.stop()
