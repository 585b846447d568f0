"""The service of a light node: it starts, answers, tells of heads, and stops."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from farmctl.cycles import verify_cycle
from node.inference import ReferenceEngine
from node.light.service import LightService
from node.light.settings import LightSettings
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from tests.node.rpc.running import run_service
from tests.node.workshop import CHAIN

SECONDS = 30.0


async def test_it_answers_and_tells_of_heads(tmp_path: Path) -> None:
    loader = GraphLoader(DirectoryStorage(tmp_path / "models"))
    async with run_service(tmp_path / "full") as full:
        light = LightService(
            *(CHAIN, tmp_path / "light", LightSettings(), [full.url], loader),
            *(ReferenceEngine(loader), verify_cycle),
            rpc_port=0,
            poll_seconds=0.1,
        )
        await light.start()
        async with connect(f"ws://127.0.0.1:{light.rpc_port}") as socket:

            async def say(method: str, *params: Any) -> Any:
                await socket.send(json.dumps({"id": 1, "method": method, "params": params}))
                return json.loads(await asyncio.wait_for(socket.recv(), SECONDS))

            assert (await say("eth_chainId"))["result"] == hex(CHAIN.chain_id)
            assert (await say("eth_subscribe", "newHeads"))["result"]
            await full.mine()
            heard = json.loads(await asyncio.wait_for(socket.recv(), SECONDS))
            assert heard["params"]["result"]["number"] == "0x1"
        await light.stop()
