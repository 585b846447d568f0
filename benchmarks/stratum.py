"""The pool under load: 10,000 miners that send 2,000 valid shares a second.

A real node process serves them over loopback; this process is all of the miners. So that a few
solutions, found beforehand, do for all, the pool tells every miner one and the same seal hash;
it computes the miner's own none the less, and verifies each share in full. Graphs have 2^10
edges: a small graph's proof costs a pool as much as a large one's. The latency is from writing a
share to reading its answer, which includes this process's own lag. There is a new head, and so
a new job for everyone, every 15 seconds, as on Cortex's mainnet.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch
from farmctl.config import load
from farmctl.node_process import NodeProcess
from node import service
from node.chains.farmnet import FARMNET
from node.spec.cuckoo import solution_bytes
from node.spec.types import Block
from node.stratum import jobs

EDGE_BITS = 10
#: So hard that no share is a block and the head stays.
CHAIN = replace(
    FARMNET,
    name="bench",
    edge_bits=EDGE_BITS,
    genesis=replace(FARMNET.genesis, difficulty=2**60),
)
HEAD_SECONDS = 15.0
NEWS = b'{"id":0,'
SEAL_HASH = b"\x42" * 32
MINERS, QUICK_MINERS = 10_000, 500
SHARES_PER_SECOND = 2000
SECONDS, QUICK_SECONDS = 30, 2
#: The addresses that the miners come from; one may have only so many connections.
MINERS_PER_ADDRESS = 1000
LOGINS_AT_ONCE = 200
TICK_SECONDS = 0.005
OTHER_FILES = 64
START_SECONDS = 60.0
ANSWER_SECONDS = 30.0


@dataclass
class Miner(asyncio.Protocol):
    """Speaks just enough of the protocol to be quick."""

    name: int
    pending: dict[int, float] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    jobs: list[float] = field(default_factory=list)
    """When each new job came."""
    refused: int = 0
    shares: list[tuple[str, str]] = field(default_factory=list)
    seal_hash: str = ""
    buffer: bytes = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ready = asyncio.get_running_loop().create_future()
        login = {"id": -1, "method": "ctxc_submitLogin", "params": [f"0x{self.name:040x}"]}
        self.say(login)
        self.say({"id": -2, "method": "ctxc_getWork", "params": [""]})

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the pool hung up"))

    def say(self, body: dict[str, Any]) -> None:
        self.transport.write(json.dumps(body).encode() + b"\n")

    def data_received(self, received: bytes) -> None:
        now = time.perf_counter()
        *lines, self.buffer = (self.buffer + received).split(b"\n")
        for line in lines:
            if line.startswith(NEWS):
                self.jobs.append(now)
            else:
                self.hear(json.loads(line), now)

    def hear(self, said: dict[str, Any], now: float) -> None:
        ident = said["id"]
        if ident == -2:
            self.take_first(said)
        elif ident > 0:
            self.latencies.append(now - self.pending.pop(ident))
            self.refused += said["result"] is not True

    def take_first(self, said: dict[str, Any]) -> None:
        if said["result"]:
            self.seal_hash = said["result"][0]
            self.ready.set_result(None)
        else:
            self.ready.set_exception(ConnectionError(said["error"]["message"]))

    def submit(self, ident: int) -> None:
        nonce, solution = self.shares.pop()
        params = [nonce, self.seal_hash, solution]
        self.pending[ident] = time.perf_counter()
        self.say({"id": ident, "method": "ctxc_submitWork", "params": params, "worker": "rig"})


def run(quick: bool) -> dict[str, Any]:
    miners, seconds = (QUICK_MINERS, QUICK_SECONDS) if quick else (MINERS, SECONDS)
    allow_files(miners + OTHER_FILES)
    with tempfile.TemporaryDirectory() as folder:
        server = start_server(Path(folder), miners)
        try:
            row = asyncio.run(load_server(server, miners, seconds))
        finally:
            server.process.terminate()
            server.process.wait(30)
    return {"edge_bits": EDGE_BITS, "rows": [row]}


def allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise RuntimeError(f"{wanted} open files are needed and {hard} allowed; raise ulimit -Hn")
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """The most that was ever resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def start_server(home: Path, miners: int) -> Server:
    """The node's process, with a pool."""
    ports = free_ports(3)
    settings = {
        "FARMCTL_HOME": str(home),
        "FARMCTL_BUS_PORT": str(ports[0]),
        "FARMCTL_NODE_PORT": str(ports[1]),
        "FARMCTL_STRATUM_PORT": str(ports[2]),
        "FARMCTL_STRATUM_MAX_CONNECTIONS": str(miners + OTHER_FILES),
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FARMCTL_")}
    process = subprocess.Popen(
        [sys.executable, "-c", "from benchmarks.stratum import serve; serve()"],
        env={**kept, **settings, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return Server(process, ports[2])


class OneJob(jobs.Template):
    """A new head each time, whose work is the same."""

    def __init__(self, number: int, block: Block) -> None:
        super().__init__(number, block)
        self.height = 10**6 + number

    def seal_hash(self, extranonce: int) -> bytes:
        super().seal_hash(extranonce)
        return SEAL_HASH


def serve() -> None:
    jobs.Template = OneJob  # type: ignore[misc]
    service.RECOMMIT_SECONDS = HEAD_SECONDS
    asyncio.run(NodeProcess(load(), CHAIN).run())


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def load_server(server: Server, count: int, seconds: int) -> dict[str, Any]:
    await until_it_answers(server)
    began = time.perf_counter()
    miners = await connect_all(server.port, count)
    connected = time.perf_counter() - began
    shares = SHARES_PER_SECOND * seconds
    solutions = solve(miners[0].seal_hash, -(-shares // count))
    for miner in miners:
        miner.shares = list(solutions)
    gc.freeze()  # its own collector must not be taken for the pool's delay
    cpu, began = server.cpu_seconds(), time.perf_counter()
    for miner in miners:
        miner.jobs.clear()
    await send_shares(miners, shares)
    took = time.perf_counter() - began
    cpu = server.cpu_seconds() - cpu
    return summarise(miners, took, cpu) | {
        "connect_seconds": connected,
        "server_memory_megabytes": server.memory_bytes() / 1e6,
    }


async def until_it_answers(server: Server) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            if server.process.poll() is not None:
                raise RuntimeError("the node's process ended; `farmctl node run` says why")
            try:
                await try_out(server.port)
                return
            except OSError:
                await asyncio.sleep(0.2)


async def try_out(port: int) -> None:
    """Raises `OSError` while there is no pool or no work."""
    miner = await connect(port, 0)
    try:
        await miner.ready
    finally:
        miner.transport.close()


async def connect(port: int, name: int) -> Miner:
    source = f"127.0.0.{2 + name // MINERS_PER_ADDRESS}"
    _, miner = await asyncio.get_running_loop().create_connection(
        lambda: Miner(name + 1), "127.0.0.1", port, local_addr=(source, 0)
    )
    return miner


async def connect_all(port: int, count: int) -> list[Miner]:
    miners: list[Miner] = []
    for first in range(0, count, LOGINS_AT_ONCE):
        names = range(first, min(count, first + LOGINS_AT_ONCE))
        some = await asyncio.gather(*(connect(port, name) for name in names))
        await asyncio.gather(*(miner.ready for miner in some))
        miners += some
    return miners


def solve(seal_hash: str, wanted: int) -> list[tuple[str, str]]:
    """So many solutions, as nonce and what is sent of the edges."""
    search = CuckooSearch(1, 1 << 26)
    found: dict[int, str] = {}
    job, nonce = CuckooJob(bytes.fromhex(seal_hash[2:]), EDGE_BITS), 0
    while len(found) < wanted:
        done, cycles = search.search(job, nonce, 32, lambda: False)
        found |= {c.nonce: "0x" + solution_bytes(c.edges).hex() for c in cycles}
        nonce += done
    return [(f"0x{nonce:016x}", solution) for nonce, solution in found.items()]


async def send_shares(miners: list[Miner], count: int) -> None:
    """At an even pace, from one miner after the other; return when all are answered."""
    began = time.perf_counter()
    sent = 0
    while sent < count:
        due = min(count, int((time.perf_counter() - began) * SHARES_PER_SECOND))
        for ident in range(sent + 1, due + 1):
            miners[ident % len(miners)].submit(ident)
        sent = max(sent, due)
        await asyncio.sleep(TICK_SECONDS)
    async with asyncio.timeout(ANSWER_SECONDS):
        while any(miner.pending for miner in miners):
            await asyncio.sleep(0.01)


def summarise(miners: list[Miner], took: float, cpu: float) -> dict[str, Any]:
    latencies = [latency for miner in miners for latency in miner.latencies]
    cuts = statistics.quantiles(latencies, n=1000)
    return {
        "connections": len(miners),
        "shares": len(latencies),
        "refused": sum(miner.refused for miner in miners),
        "shares_per_second": len(latencies) / took,
        "p50_ms": 1e3 * statistics.median(latencies),
        "p99_ms": 1e3 * cuts[989],
        "p999_ms": 1e3 * cuts[998],
        "most_ms": 1e3 * max(latencies),
        "server_cpu_percent": 100 * cpu / took,
        "jobs_sent": sum(len(miner.jobs) for miner in miners),
    }
