"""A farm of one rig for `benchmarks.soak`: bus, node and plans here, the agent as a process."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from farmctl import bus_server, nats_bus
from farmctl.config import Config, load
from farmctl.domain import Priority, Workload
from farmctl.messages import (
    AssignmentMessage,
    DeviceAck,
    FaultEvent,
    ReadingBatch,
    RigEvent,
    RigPlan,
    ShareEvent,
    Submission,
)
from farmctl.node_link import NodeLink
from node.chains.farmnet import FARMNET
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.service import NodeService
from node.spec.chain import Chain
from node.spec.crypto import private_address
from node.spec.cuckoo import Verdict, graph_header, verify
from node.spec.seal import is_cycle, meets_target
from node.spec.types import Transaction
from node.work import WorkPackage

RIG = "soak"
DEVICE = "cpu:0"
CUSTOMER_KEY = b"\x11" * 32
OFFERS_KEPT = 64
WRONG_KEPT = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def chain_of(edge_bits: int) -> Chain:
    alloc = {private_address(CUSTOMER_KEY): 10**24}
    genesis = replace(FARMNET.genesis, alloc=alloc)
    return replace(FARMNET, name="soak", edge_bits=edge_bits, genesis=genesis)


class SoakFarm:
    def __init__(self, home: Path, edge_bits: int) -> None:
        self._home, self._chain = home, chain_of(edge_bits)
        ports = {f"FARMCTL_{name}_PORT": str(free_port()) for name in ("BUS", "API", "NODE")}
        self._environment = {"FARMCTL_HOME": str(home), "FARMCTL_FARM_RIG": RIG, **ports}
        self.config: Config = load(self._environment)
        loader = GraphLoader(DirectoryStorage(home / "models"))
        self._service = NodeService(
            self._chain,
            home / "node",
            loader,
            ReferenceEngine(loader),
            bytes(20),
            is_cycle,
            rpc_port=0,
            on_work=self._offer,
        )
        self._link = NodeLink(self._chain, self._service, loader)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._bus: nats_bus.NatsBus | None = None
        self._offers: dict[str, WorkPackage] = {}
        self._plan_number = self._transfers = 0
        self._seen: set[str] = set()
        self._acked = 0
        self._counted_at = time.time()
        self._rate_at = 0.0
        self.jobs = self.submissions = 0
        self.graphs = 0.0
        self.wrong: list[str] = []
        self.shares = Counter(accepted=0, stale=0, rejected=0, invalid=0)
        self.details: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.expected_faults: Counter[str] = Counter()

    @property
    def agent_pid(self) -> int:
        return self._processes[-1].pid

    @property
    def bus(self) -> nats_bus.NatsBus:
        assert self._bus is not None, "start comes first"
        return self._bus

    async def start(self) -> None:
        settings = bus_server.prepare(self.config)
        self._launch([str(bus_server.find_server()), "-c", str(settings)], "bus.log")
        self._bus = await nats_bus.connect(self.config.bus_url, self.config.bus_seed, "soak")
        await self.bus.subscribe("reading.*", ReadingBatch, self._read)
        await self.bus.consume("event.*", "soak", RigEvent, self._hear)
        await self.bus.subscribe("node.submit", Submission, self._verify)
        await self._link.join(self.bus)
        await self._service.start()
        self._launch([sys.executable, "-m", "farmctl", "agent"], "agent.log")

    def _launch(self, command: Sequence[str], log: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FARMCTL_")}
        with (self._home / log).open("wb") as output:
            self._processes.append(
                subprocess.Popen(
                    command, env={**environment, **self._environment}, stdout=output, stderr=output
                )
            )

    async def stop(self) -> None:
        """The agent first, so that it drains."""
        for process in reversed(self._processes):
            process.terminate()
            await asyncio.to_thread(process.wait, 60)
        await self._service.stop()
        if self._bus is not None:
            await self._bus.close()

    async def mine(self, seconds: float) -> None:
        """Give the first plan; return when the device mines."""
        deadline = time.monotonic() + seconds
        while not await self.plan(False, 10.0) or not await self._mines_since(0.0, 10.0):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the rig did not start:\n{self.agent_log()}")

    def agent_log(self) -> str:
        return (self._home / "agent.log").read_text(errors="replace")[-4000:]

    async def plan(self, paused: bool, seconds: float) -> bool:
        """Have the device mine or rest; whether the rig confirmed it in time."""
        self._plan_number += 1
        number = self._plan_number
        one = AssignmentMessage(
            device=DEVICE,
            workload=Workload.IDLE if paused else Workload.MINE,
            priority=Priority.MANUAL,
            reason="soak",
            infer_reserve=not paused,
            paused=paused,
        )
        plan = RigPlan(rig=RIG, number=number, created=time.time(), assignments=(one,))
        await self.bus.put("plans", RIG, plan)
        return await wait_until(lambda: self._acked >= number, seconds)

    async def mines_after(self, fault: str, seconds: float) -> bool:
        """Whether the device mines again after a fault that is still to be reported."""
        known = self.faults[fault]
        if not await wait_until(lambda: self.faults[fault] > known, seconds):
            return False
        return await self._mines_since(time.time() + 2.0, seconds)

    async def _mines_since(self, when: float, seconds: float) -> bool:
        return await wait_until(lambda: self._rate_at > when, seconds)

    async def change_work(self) -> None:
        """A transfer, which the node puts into a new block template: other work."""
        to = (self._transfers + 1).to_bytes(20, "big")
        transfer = Transaction(self._transfers, 1, 21_000, to, 1, b"")
        signed = transfer.sign(CUSTOMER_KEY, self._chain.chain_id)
        await asyncio.to_thread(self._service.node.send, signed)
        self._transfers += 1

    async def settle(self) -> None:
        """Let what is under way arrive."""
        await asyncio.sleep(3.0)

    def record(self) -> dict[str, Any]:
        unexpected = {c: n for c, n in self.faults.items() if n > self.expected_faults[c]}
        return {
            "graphs": round(self.graphs),
            "jobs": self.jobs,
            "transfers": self._transfers,
            "height": self._service.node.head().number,
            "submissions": self.submissions,
            "wrong_submissions": len(self.wrong),
            "wrong": self.wrong[:WRONG_KEPT],
            "shares": dict(self.shares),
            "share_details": dict(self.details.most_common(10)),
            "faults": dict(self.faults),
            "unexpected_faults": unexpected,
            "malformed_messages": self.bus.malformed,
        }

    def _offer(self, package: WorkPackage) -> None:
        key = package.seal_hash.hex()
        self.jobs += key not in self._offers
        self._offers[key] = package
        while len(self._offers) > OFFERS_KEPT:
            del self._offers[next(iter(self._offers))]
        self._link.announce(package)

    async def _verify(self, _subject: str, submission: Submission) -> None:
        """Judge what was sent anew, apart from the rig and from the node's own judgement."""
        self.submissions += 1
        header = graph_header(bytes.fromhex(submission.seal_hash), submission.nonce)
        chain = self._chain
        verdict = await asyncio.to_thread(
            verify, header, submission.edges, chain.edge_bits, chain.rounds, chain.proof_size
        )
        package = self._offers.get(submission.seal_hash)
        met = package and meets_target(submission.edges, package.block.header.difficulty)
        if verdict is not Verdict.OK or met is False:
            self.wrong.append(f"{submission.nonce}: {verdict.name}, target met: {met}")

    async def _read(self, _subject: str, batch: ReadingBatch) -> None:
        for reading in batch.readings:
            rate = reading.values.get("graphs_per_second", 0.0)
            if reading.device == DEVICE and rate > 0:
                self.graphs += rate * min(2.0, max(0.0, reading.at - self._counted_at))
                self._rate_at = reading.at
            if reading.device == DEVICE:
                self._counted_at = reading.at

    async def _hear(self, _subject: str, event: RigEvent) -> None:
        """Each event once; those of the same id come again only soon after."""
        if event.id in self._seen:
            return
        self._seen.add(event.id)
        body = event.body
        if isinstance(body, ShareEvent):
            self.shares[body.outcome] += 1
            if body.outcome != "accepted":
                self.details[f"{body.outcome}: {body.detail.split(' at height')[0][:80]}"] += 1
        elif isinstance(body, FaultEvent):
            self.faults[body.code] += 1
        elif isinstance(body, DeviceAck) and body.state == "running" and body.device == DEVICE:
            self._acked = max(self._acked, body.plan_number)


async def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
