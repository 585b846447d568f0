"""A node behind nothing but its JSON-RPC, in each form in which such nodes give raw blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.rpc.errors import MethodNotFound
from node.rpc.registry import find_methods
from node.rpc.server import RpcServer
from tests.node.peers.network import Member, until
from tests.node.workshop import Clock, sign

Change = Callable[[dict[str, Any]], None]


def lack_raw_blocks(methods: dict[str, Any]) -> None:
    del methods["debug_getRawBlock"], methods["debug_getRawHeader"]


def want_plain_numbers(methods: dict[str, Any]) -> None:
    """As Cortex's own node: a number that is no string, and hex without 0x."""
    inner = methods["debug_getRawBlock"]

    def get(node: Any, number: Any) -> Any:
        if not isinstance(number, int):
            raise MethodNotFound("a number, please")
        found = inner(node, number)
        return found and found.removeprefix("0x")

    methods["debug_getRawBlock"] = get
    del methods["debug_getRawHeader"]


def keep(methods: dict[str, Any]) -> None:
    """The form of this node itself."""


@pytest.mark.parametrize("change", [keep, want_plain_numbers, lack_raw_blocks])
async def test_blocks_come_and_transactions_go(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    methods = dict(find_methods())
    change(methods)
    monkeypatch.setattr("node.rpc.dispatcher.find_methods", lambda: methods)
    async with Member(tmp_path / "a", clock) as far:
        await far.send(sign(0))
        await far.mine(5)
        clock.now += 1
        rpc = RpcServer(far.node, "127.0.0.1", 0)
        await rpc.start()
        try:
            url = f"http://127.0.0.1:{rpc.port}"
            async with Member(tmp_path / "b", clock, [url]) as near:
                await until(lambda: near.node.head() == far.node.head(), "the blocks come")
                await near.send(sign(1))
                await until(lambda: sign(1).hash() in far.node.mempool, "it is passed on")
                (view,) = near.peers.board().peers
                assert (view.kind, view.number) == ("rpc", 5)
        finally:
            await rpc.stop()


async def test_a_feed_that_is_not_there_is_shown_with_the_reason(
    tmp_path: Path, clock: Clock
) -> None:
    async with Member(tmp_path / "b", clock, ["http://127.0.0.1:9"]) as near:
        await until(lambda: "no answer" in near.reasons(), "it says so")
        assert near.peers.board().connected == 0
