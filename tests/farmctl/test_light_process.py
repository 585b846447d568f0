"""``farmctl node run`` in light mode beside a full node, on a real bus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from farmctl import config as configuration
from farmctl.config import Config
from farmctl.errors import ConfigError
from farmctl.light_process import LightProcess
from farmctl.messages import Message, NodeStatus, Work
from farmctl.nats_bus import connect
from node.peers.settings import PeerSection
from node.stratum.settings import StratumSettings
from tests.farmctl.conftest import BusServer
from tests.node.light.network import Network, hexed
from tests.node.workshop import CHAIN, POOR, RICH, sign

SECONDS = 20.0


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path)
    yield made
    made.close()


def lighten(config: Config, *urls: str) -> Config:
    node = replace(config.node, mode="light")
    return replace(config, node=node, peers=tuple(PeerSection(url) for url in urls))


async def ask(config: Config, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
        return (await client.post(config.node_url, json=body)).json()


async def until_height(config: Config, height: int) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                if (await ask(config, "eth_blockNumber"))["result"] == hex(height):
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)


async def test_a_light_node_serves_the_farm(
    config: Config, bus_process: BusServer, network: Network
) -> None:
    await asyncio.to_thread(network.mine, 3)
    config = lighten(config, network.a.url, network.b.url)
    stop = asyncio.Event()
    chain = replace(CHAIN, max_future_seconds=10**9)
    process = LightProcess(config, chain)
    running = asyncio.create_task(process.run(stop))
    try:
        await until_height(config, 3)
        assert process.link is not None
        assert process._engine.on_wrong == process.link.distrust
        raw = hexed(sign(0, value=7).encode())
        assert "error" not in await ask(config, "eth_sendRawTransaction", raw)
        await asyncio.to_thread(network.mine)
        await until_height(config, 4)
        assert (await ask(config, "eth_getBalance", hexed(POOR), "latest"))["result"] == "0x7"
        nonce = await ask(config, "eth_getTransactionCount", hexed(RICH), "pending")
        assert nonce["result"] == "0x1"
        refused = await ask(config, "ctxc_models")
        assert "a light node cannot answer ctxc_models" in refused["error"]["message"]
        status, work = await listen(config)
        assert (status.mode, status.height, status.peers, status.blocked) == ("light", 4, 2, "")
        assert not work.available and "makes no blocks" in work.detail
    finally:
        stop.set()
        await asyncio.wait_for(running, SECONDS)


async def listen(config: Config) -> tuple[NodeStatus, Work]:
    """What the farm hears of the node, and the work that its devices are offered."""
    bus = await connect(config.bus_url, config.bus_seed, "test")
    heard: asyncio.Queue[NodeStatus] = asyncio.Queue()

    async def take(_: str, status: NodeStatus) -> None:
        heard.put_nowait(status)

    try:
        await bus.subscribe("node.status", NodeStatus, take)
        status = await asyncio.wait_for(heard.get(), SECONDS)
        return status, await bus.request("node.work", Message(), Work)
    finally:
        await bus.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stratum": StratumSettings(port=1234)}, "stratum"),
        ({"peers": (PeerSection("farm://127.0.0.1:1"),)}, "farm://"),
    ],
)
async def test_what_needs_blocks_is_refused(
    config: Config, changes: dict[str, Any], words: str
) -> None:
    unfit = replace(lighten(config, "http://127.0.0.1:9"), **changes)
    with pytest.raises(ConfigError, match=words):
        await LightProcess(unfit).run(asyncio.Event())


def test_modes_and_bounds_are_checked(tmp_path: Path) -> None:
    for name, value, words in (
        ("FARMCTL_NODE_MODE", "heavy", "full, light"),
        ("FARMCTL_LIGHT_CHECKPOINT", "0x12", "checkpoint"),
        ("FARMCTL_LIGHT_KEPT_HEADERS", "5", "kept_headers"),
    ):
        with pytest.raises(ConfigError, match=words):
            configuration.load({"FARMCTL_HOME": str(tmp_path), name: value})
