"""A pool of a real node, and a miner that speaks to it over a real socket."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch
from farmctl.cycles import verify_cycle
from node.spec.crypto import private_address
from node.spec.cuckoo import solution_bytes, solution_hash
from node.spec.types import Block
from node.stratum.server import StratumServer
from node.stratum.settings import StratumSettings
from tests.node.workshop import BLOCK_SECONDS, EDGE_BITS, Clock, open_node
from tests.support.ports import free_port

SECRET = b"\x77" * 32
COINBASE = private_address(SECRET)
ALICE = "0x" + "a1" * 20
BOB = "0x" + "b0" * 20
SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    seal_hash: str
    target: int
    height: int


@dataclass
class Answer:
    nonce: str
    seal_hash: str
    solution: str

    def params(self) -> list[str]:
        return [self.nonce, self.seal_hash, self.solution]


def search(job: Job, first: int = 0, wanted: Callable[[int], bool] | None = None) -> Answer:
    """A solution whose hash is ``wanted``: by default, one under the job's target."""
    is_wanted = wanted or (lambda digest: digest <= job.target)
    searcher = CuckooSearch(1, 1 << 26)
    work = CuckooJob(bytes.fromhex(job.seal_hash[2:]), EDGE_BITS)
    for nonce in itertools.count(first, 64):
        _, cycles = searcher.search(work, nonce, 64, lambda: False)
        for cycle in cycles:
            if is_wanted(int.from_bytes(solution_hash(cycle.edges), "big")):
                solution = "0x" + solution_bytes(cycle.edges).hex()
                return Answer(f"0x{cycle.nonce:016x}", job.seal_hash, solution)
    raise AssertionError("unreachable")


@dataclass
class Miner:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    news: list[Job] = field(default_factory=list)

    async def send(self, method: str, *params: Any, ident: int = 1, **more: Any) -> dict[str, Any]:
        body = {"id": ident, "jsonrpc": "2.0", "method": method, "params": params, **more}
        return await self.say(json.dumps(body).encode())

    async def say(self, line: bytes) -> dict[str, Any]:
        self.writer.write(line + b"\n")
        return await self.reply()

    async def hear(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(await asyncio.wait_for(self.reader.readline(), SECONDS))
        return said

    async def reply(self) -> dict[str, Any]:
        """The next answer; new jobs on the way are kept."""
        while True:
            said: dict[str, Any] = json.loads(
                await asyncio.wait_for(self.reader.readline(), SECONDS)
            )
            if said["id"] != 0:
                return said
            self.news.append(read_job(said["result"]))

    async def next_job(self) -> Job:
        while not self.news:
            said = await self.hear()
            assert said["id"] == 0
            self.news.append(read_job(said["result"]))
        return self.news.pop(0)

    async def log_in(self, account: str = ALICE, worker: str = "rig1") -> Job:
        said = await self.send("ctxc_submitLogin", account, ident=72, worker=worker)
        assert said == {"id": 72, "jsonrpc": "2.0", "result": True}
        return await self.get_work()

    async def get_work(self) -> Job:
        return read_job((await self.send("ctxc_getWork", "", ident=100))["result"])

    async def submit(self, answer: Answer, ident: int = 73) -> dict[str, Any]:
        return await self.send("ctxc_submitWork", *answer.params(), ident=ident, worker="rig1")

    async def is_dropped(self) -> bool:
        """Whether the server ends the connection now."""
        try:
            while await asyncio.wait_for(self.reader.readline(), SECONDS):
                pass
        except ConnectionError:
            pass
        return True


def read_job(result: list[str]) -> Job:
    seal_hash, seed, target, height = result
    assert seed == "0x" + "00" * 32
    return Job(seal_hash, int(target, 16), int(height, 16))


async def connect(port: int, tls: ssl.SSLContext | None = None) -> Miner:
    return Miner(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))


class Desk:
    """A node that builds a new template after each block, and a pool on it."""

    def __init__(self, home: Path, settings: StratumSettings, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.node = open_node(home, self.clock, COINBASE)
        self.pool = StratumServer(settings, self.node, self.import_block, verify_cycle, SECRET)

    async def import_block(self, block: Block) -> None:
        self.clock.now += BLOCK_SECONDS
        await asyncio.to_thread(self.node.import_sealed, block)
        self.offer()

    def offer(self) -> None:
        self.pool.offer(self.node.refresh_work().block)


@asynccontextmanager
async def running_pool(home: Path, **settings: Any) -> AsyncIterator[StratumServer]:
    """A pool with work, on free ports."""
    async with running_desk(home, **settings) as desk:
        yield desk.pool


@asynccontextmanager
async def running_desk(home: Path, **settings: Any) -> AsyncIterator[Desk]:
    desk = Desk(home, StratumSettings(**{"port": free_port(), **settings}))
    try:
        desk.offer()
        await desk.pool.start()
        yield desk
    finally:
        await desk.pool.stop()
        desk.node.close()
