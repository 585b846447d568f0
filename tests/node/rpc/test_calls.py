"""Calls in a process of their own: what they answer, and that nothing they do lasts."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from node.core import Node
from node.rpc.errors import Reverted, ServerError
from node.rpc.methods.calls import call, estimate_gas, parse_call
from node.rpc.settings import RpcSettings
from node.rpc.simulation.messages import Setup
from node.rpc.simulation.pool import CallPool
from tests.node.rpc.running import run_service
from tests.node.workshop import CHAIN, COIN, POOR, RICH, Clock, mine, sign

#: JUMPDEST PUSH1 0 JUMP: it runs until its gas is gone.
ENDLESS = "0x5b600056"


class TestPool:
    @pytest.fixture
    def pool(self, node: Node) -> Any:
        setup = Setup(node.home / "chain", CHAIN, node.interpret)
        made = CallPool(setup, node.inference, 1, 0.5)
        node.calls.close()
        node.calls = made
        yield made
        made.close()

    def test_it_answers_as_the_node_itself(self, node: Node, pool: CallPool) -> None:
        request = {"data": "0x602a60005260206000f3"}
        assert int(call(node, request), 16) == 42
        payment = {"from": "0x" + RICH.hex(), "to": "0x" + POOR.hex(), "value": "0x1"}
        assert int(estimate_gas(node, payment), 16) == 21_000
        with pytest.raises(Reverted):
            call(node, {"data": "0x60006000fd"})

    def test_one_that_takes_too_long_is_ended(self, node: Node, pool: CallPool) -> None:
        began = time.monotonic()
        call(node, {"data": "0x00"})  # the process runs now
        with pytest.raises(ServerError, match="timeout"):
            node.calls.call(parse_call({"data": ENDLESS}), node.head(), 2**40)
        assert time.monotonic() - began < 30
        assert call(node, {"data": "0x00"}) == "0x"

    def test_the_death_of_its_process_is_an_error_of_one_call(
        self, node: Node, pool: CallPool
    ) -> None:
        assert call(node, {"data": "0x00"}) == "0x"
        child = pool._free.get()
        assert child is not None
        pool._free.put(child)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(ServerError, match="try again"):
            call(node, {"data": "0x00"})
        assert call(node, {"data": "0x00"}) == "0x"

    def test_it_sees_blocks_that_came_later(self, node: Node, pool: CallPool, clock: Clock) -> None:
        balance = {"data": "0x73" + POOR.hex() + "3160005260206000f3"}
        assert int(call(node, balance), 16) == 0
        node.send(sign(0, POOR, COIN))
        mine(node, clock)
        assert int(call(node, balance), 16) == COIN
        assert int(call(node, balance, "0x0"), 16) == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": hex(2000 * COIN)}, "insufficient funds"),
        ({"gas": hex(10**6), "gasPrice": hex(COIN)}, "insufficient funds"),
        ({"data": ENDLESS, "to": None}, "out of gas"),
        ({"data": "0xfe", "to": None}, "invalid opcode"),
    ],
)
def test_a_failed_call_says_why(node: Node, fields: dict[str, Any], message: str) -> None:
    request = {"from": "0x" + RICH.hex(), "to": "0x" + POOR.hex(), **fields}
    with pytest.raises(ServerError, match=message):
        call(node, request)
    with pytest.raises(ServerError):
        estimate_gas(node, request)


def test_a_price_bounds_the_gas_by_what_the_sender_has(node: Node) -> None:
    request = {"from": "0x" + RICH.hex(), "to": "0x" + POOR.hex(), "gasPrice": hex(COIN // 30)}
    assert int(estimate_gas(node, request), 16) == 21_000
    with pytest.raises(ServerError, match="exceeds allowance"):
        estimate_gas(node, {**request, "gasPrice": hex(COIN)})
    assert call(node, {**request, "data": "0x"}) == "0x"


def test_a_call_has_so_much_gas(node: Node) -> None:
    gas = call(node, {"data": "0x5a60005260206000f3", "gas": hex(2**62)})
    assert int(gas, 16) < RpcSettings.call_gas


async def test_the_service_bounds_the_time_of_calls(tmp_path: Any) -> None:
    async with run_service(tmp_path, call_gas=2**40, call_seconds=0.5) as running:
        reply = await running.rpc("eth_call", {"data": ENDLESS}, "latest")
        assert reply == {"code": -32000, "message": "execution aborted (timeout = 0.5s)"}
