"""``farmctl node run`` as a process: what a kill leaves, and how it refuses to start."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch
from farmctl import node_process
from farmctl.bus import Bus
from farmctl.config import Config
from farmctl.errors import ConfigError, FarmError, Unavailable
from farmctl.messages import Message, NodeStatus, SubmissionReply, Work
from farmctl.nats_bus import connect
from farmctl.node_process import NodeProcess
from farmctl.pools.settings import PoolSection
from node.spec.state import State
from node.store import ChainStore
from node.stratum.settings import StratumSettings
from tests.farmctl.conftest import BusServer
from tests.farmctl.pools.test_pools import solve
from tests.node.stratum.miner import ALICE, Miner, running_desk, search
from tests.node.stratum.miner import connect as miner_of
from tests.node.workshop import CHAIN, EDGE_BITS, POOR, Clock, open_node, sign
from tests.support.ports import free_port

RUN = """
import asyncio, dataclasses
from farmctl.config import load
from farmctl.node_process import NodeProcess
from tests.node.workshop import CHAIN
chain = dataclasses.replace(CHAIN, max_future_seconds=100_000)
asyncio.run(NodeProcess(load(), chain).run())
"""


@dataclass
class Running:
    """The node as a child process, and a miner that speaks JSON-RPC to it."""

    config: Config
    process: subprocess.Popen[bytes]

    def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = httpx.post(self.config.node_url, json=body, timeout=10).json()
        assert "error" not in reply, reply
        return reply["result"]

    def wait(self) -> None:
        """Until work is offered."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self.rpc("eth_mining"):
                    return
            except httpx.HTTPError:
                assert self.process.poll() is None
            time.sleep(0.02)
        raise AssertionError("the node did not start")


def start(config: Config) -> Running:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "FARMCTL_HOME": str(config.home),
        "FARMCTL_NODE_PORT": str(config.node.port),
        "FARMCTL_BUS_PORT": str(config.bus.port),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", RUN], env=environment, stderr=subprocess.DEVNULL
    )
    running = Running(config, process)
    running.wait()
    return running


def mine_until_killed(running: Running, strike: threading.Timer, sent: list[bytes]) -> int:
    """Mine and send until the node is gone, struck some time after the first block; return the
    height last confirmed."""
    search, height = CuckooSearch(1, 1 << 26), 0
    try:
        for first_nonce in itertools.count(0, 64):
            transaction = sign(len(sent), value=1)
            running.rpc("eth_sendRawTransaction", "0x" + transaction.encode().hex())
            sent.append(transaction.hash())
            mined = mine_some(running, search, first_nonce)
            if mined and not height:
                strike.start()
            height = mined or height
    except httpx.HTTPError:
        running.process.wait(10)
    return height


def mine_some(running: Running, search: CuckooSearch, first_nonce: int) -> int | None:
    """Search 64 graphs of the newest work; return its height if a block was taken."""
    seal_hash, _, _, number = running.rpc("eth_getWork")
    job = CuckooJob(bytes.fromhex(seal_hash[2:]), EDGE_BITS)
    _, cycles = search.search(job, first_nonce, 64, lambda: False)
    for cycle in cycles:
        edges = "0x" + b"".join(e.to_bytes(4, "big") for e in cycle.edges).hex()
        if running.rpc("eth_submitWork", f"0x{cycle.nonce:016x}", seal_hash, edges):
            return int(number, 16)
    return None


def check_whole(config: Config, height: int, sent: list[bytes]) -> int:
    """The chain replays from genesis to its head, and each transaction is once in it or waits."""
    store = ChainStore(config.home / "node" / "chain")
    head = store.head_header()
    assert head.number >= height, "a confirmed block was lost"
    seen: list[bytes] = []
    parent = store.canonical_hash(0)
    for number in range(1, head.number + 1):
        block = store.block(store.canonical_hash(number) or b"")
        assert block is not None and block.header.parent_hash == parent
        assert len(store.receipts(block.hash())) == len(block.transactions)
        seen += [t.hash() for t in block.transactions]
        parent = block.hash()
    assert parent == head.hash()
    state = State(store, head.state_root)
    assert state.get_balance(POOR) == len(seen) == len(set(seen))
    waiting = {t.hash() for t in store.pending()}
    assert set(sent) <= waiting | set(seen), "a transaction that was taken is lost"
    store.close()
    return head.number


def kill_often(config: Config, times: int) -> int:
    moments, sent, height = random.Random(1), list[bytes](), 0
    for _ in range(times):
        running = start(config)
        strike = threading.Timer(moments.uniform(0.0, 0.5), running.process.kill)
        confirmed = mine_until_killed(running, strike, sent)
        height = check_whole(config, max(height, confirmed), sent)
    return height


def test_a_node_killed_while_it_imports_loses_nothing(config: Config) -> None:
    assert kill_often(config, 2) >= 2


@pytest.mark.slow
def test_a_node_killed_twenty_times_loses_nothing(config: Config) -> None:
    assert kill_often(config, 20) >= 20


async def test_it_joins_the_bus_and_leaves_in_order(config: Config, bus_process: BusServer) -> None:
    process, stop = NodeProcess(config, CHAIN), asyncio.Event()
    running = asyncio.create_task(process.run(stop))
    async with await connect(config.bus_url, config.bus_seed, "test") as bus:
        deadline = time.monotonic() + 20
        work = None
        while time.monotonic() < deadline and not (work and work.available):
            try:
                work = await bus.request("node.work", Message(), Work, 1.0)
            except FarmError:
                await asyncio.sleep(0.05)
        assert work is not None and work.height == 1
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_a_second_node_on_the_same_home_is_refused(config: Config) -> None:
    stop = asyncio.Event()
    first = asyncio.create_task(NodeProcess(config, CHAIN).run(stop))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="another node runs"):
        await NodeProcess(config, CHAIN).run()
    stop.set()
    await first


async def test_a_taken_port_is_named(config: Config) -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", config.node.port)
    with pytest.raises(FarmError, match=rf"cannot listen on 127.0.0.1:{config.node.port}"):
        await NodeProcess(config, CHAIN).run()
    server.close()


async def test_a_home_of_another_chain_is_refused(config: Config) -> None:
    open_node(config.home / "node", Clock()).close()
    other = replace(CHAIN, genesis=replace(CHAIN.genesis, difficulty=3), name="other")
    with pytest.raises(FarmError, match="holds chain tiny, not other"):
        await NodeProcess(config, other).run()


def test_an_unknown_chain_is_refused_with_those_there_are(config: Config) -> None:
    wrong = replace(config, node=replace(config.node, chain="moon"))
    with pytest.raises(ConfigError, match="farmnet"):
        NodeProcess(wrong)


async def test_it_serves_the_miners_of_others(config: Config, bus_process: BusServer) -> None:
    """A miner's block at the stratum port is on the chain, and counted in the node's status."""
    config = replace(config, stratum=StratumSettings(port=free_port()))
    stop, heard = asyncio.Event(), asyncio.Queue[NodeStatus]()
    running = asyncio.create_task(NodeProcess(config, CHAIN).run(stop))

    async def hear(_: str, status: NodeStatus) -> None:
        heard.put_nowait(status)

    async with await connect(config.bus_url, config.bus_seed, "test") as bus:
        await bus.subscribe("node.status", NodeStatus, hear)
        miner = await join_pool(config.stratum.port)
        job = await miner.log_in()
        assert (await miner.submit(search(job, wanted=lambda d: d < 2**255)))["result"] is True
        async with asyncio.timeout(30):
            while (status := await heard.get()).height < 1 or not status.stratum:
                pass
        assert status.stratum.blocks == status.stratum.shares["accepted"] == 1
        assert status.stratum.connections == 1
    stop.set()
    await asyncio.wait_for(running, 10)


async def join_pool(port: int) -> Miner:
    """Once it listens and has work."""
    async with asyncio.timeout(30):
        while True:
            try:
                miner = await miner_of(port)
                await miner.send("ctxc_submitLogin", ALICE)
                if (await miner.send("ctxc_getWork"))["result"]:
                    return miner
            except OSError:
                pass
            await asyncio.sleep(0.05)


async def test_a_pool_that_cannot_listen_is_named(config: Config) -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    taken = server.sockets[0].getsockname()[1]
    wrong = replace(config, stratum=StratumSettings(port=taken))
    with pytest.raises(FarmError, match=f"miners cannot be served on 127.0.0.1:{taken}"):
        await NodeProcess(wrong, CHAIN).run()
    server.close()


async def test_devices_mine_at_the_pool_and_do_not_know_it(
    config: Config, bus_process: BusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a device asks of the node comes from the pool, and what it sends goes there."""
    monkeypatch.setattr(node_process, "find_mined", lambda name: CHAIN)
    async with running_desk(tmp_path / "pool") as desk:
        pool = PoolSection(url=f"stratum+tcp://127.0.0.1:{desk.pool.ports[0]}", user=ALICE)
        process, stop = NodeProcess(replace(config, pools=(pool,)), CHAIN), asyncio.Event()
        running = asyncio.create_task(process.run(stop))
        async with await connect(config.bus_url, config.bus_seed, "test") as bus:
            work = await await_work(bus)
            reply = await bus.request("node.submit", solve(work), SubmissionReply)
            assert reply.outcome == "accepted", reply
            assert desk.pool.pool.counts.shares == {"accepted": 1}
        stop.set()
        await asyncio.wait_for(running, 10)


async def await_work(bus: Bus) -> Work:
    async with asyncio.timeout(20):
        while True:
            with suppress(FarmError):
                work = await bus.request("node.work", Message(), Work, 1.0)
                if work.available:
                    return work
            await asyncio.sleep(0.05)
