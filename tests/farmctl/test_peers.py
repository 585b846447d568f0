"""The farm's own node process with peers, and how people see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from farmctl.cli import build_app
from farmctl.config import Config, load
from farmctl.errors import ConfigError
from farmctl.node_client import NodeClient
from farmctl.node_process import NodeProcess
from node.peers.settings import PeerSection
from tests.farmctl.farms import client, running_farm
from tests.node.peers.network import Member
from tests.node.workshop import CHAIN, Clock
from tests.support.ports import free_port

FINGERPRINT = "ab" * 32


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Member]:
    past = Clock()
    past.now = 1_700_000_000.0
    async with Member(tmp_path / "far", past) as member:
        yield member


async def test_the_node_process_follows_its_peers(
    config: Config, far: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    await far.mine(3)
    section = replace(config.node, peer_listen=f"127.0.0.1:{free_port()}")
    config = replace(config, node=section, peers=(PeerSection(far.url),))
    process, stop = NodeProcess(config, CHAIN), asyncio.Event()
    running = asyncio.create_task(process.run(stop))
    node = NodeClient(config.node_url)
    try:
        await follow(node, far)
        assert await node.call("net_listening") is True
        assert await node.call("eth_syncing") is False
        await shows_them_on_the_dashboard(config, far)
        monkeypatch.setenv("FARMCTL_HOME", str(config.home))
        monkeypatch.setenv("FARMCTL_NODE_PORT", str(config.node.port))
        shown = await asyncio.to_thread(CliRunner().invoke, build_app(), ["node", "peers"])
        assert "connected" in shown.output and section.peer_listen in shown.output
    finally:
        stop.set()
        await running
        await node.close()
    assert (config.home / "node/peer.pem").stat().st_mode & 0o777 == 0o600


async def follow(node: NodeClient, far: Member) -> None:
    async with asyncio.timeout(20):
        while far.node.head().number != await height(node):
            await asyncio.sleep(0.05)
        while await node.call("net_peerCount") != "0x1":
            await asyncio.sleep(0.05)


async def height(node: NodeClient) -> int:
    try:
        return int(await node.call("eth_blockNumber"), 16)
    except Exception:  # noqa: BLE001  it is still starting
        return -1


async def shows_them_on_the_dashboard(config: Config, far: Member) -> None:
    async with running_farm(config) as farm, client(farm) as admin:
        board = (await admin.get("/v1/peers")).json()
        (peer,) = board["peers"]
        assert (peer["kind"], peer["state"], peer["height"]) == ("farm", "connected", 3)
        assert peer["head"] == "0x" + far.node.head().hash().hex()
        assert board["listening"] == config.node.peer_listen


async def test_a_node_that_is_away_has_no_peers_to_show(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/v1/peers")).status_code == 503


@pytest.fixture
async def admin(config: Config) -> AsyncIterator[httpx.AsyncClient]:
    async with running_farm(config) as farm, client(farm) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[peers]]\nurl = "farm://host"', "lacks a host and port"),
        ('[[peers]]\nurl = "ftp://host:1"', "url must be farm://"),
        ('[[peers]]\nurl = "farm://host:99999"', "no valid port"),
        ('[[peers]]\nurl = "farm://host:1#xyz"', "64 hex digits"),
        ('[[peers]]\nurl = "http://a:1"\n[[peers]]\nurl = "http://a:1"', "named twice"),
        ('[node]\npeer_listen = "nowhere"', "listen on host:port"),
        ('[node]\npeer_admission = "everyone"', "peer_admission is one of known, anyone"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "farm.toml").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load({"FARMCTL_HOME": str(tmp_path)})


def test_a_password_in_a_url_is_not_shown() -> None:
    section = PeerSection("https://user:secret@host:8545/path/key")
    assert section.name == "https://host:8545"
    assert PeerSection(f"farm://#{FINGERPRINT}").address is None
