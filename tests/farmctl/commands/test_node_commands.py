"""``farmctl node balances`` against a running node's JSON-RPC."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from farmctl.cli import build_app
from farmctl.config import Config
from node.rpc.server import RpcServer
from node.stratum.finds import Find, Finds
from tests.node.workshop import MINER, Clock, mine, open_node


async def test_balances_are_shown(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    node = open_node(tmp_path / "node", clock)
    finds = Finds(node.store, node.chain, 100, 1)
    finds.note(Find(mine(node, clock).hash(), 1, MINER, 0, {MINER: 1}))
    mine(node, clock, 8)
    finds.settle()
    finds.note(Find(b"\x01" * 32, 10, MINER, 0, {MINER: 1}))
    server = RpcServer(node, "127.0.0.1", 0)
    await server.start()
    monkeypatch.setenv("FARMCTL_HOME", str(config.home))
    monkeypatch.setenv("FARMCTL_NODE_PORT", str(server.port))
    shown = await asyncio.to_thread(CliRunner().invoke, build_app(), ["node", "balances"])
    await server.stop()
    node.close()
    assert shown.exit_code == 0, shown.output
    assert "6.93" in shown.output and "0x" + MINER.hex() in shown.output
    assert "shared" in shown.output and "waiting" in shown.output
