"""A relay between a stand-in for a Grin node and miners that search real graphs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from drivers.kernels import graphs
from farmctl.messages import Submission, Work
from farmctl.mining.task import make_work, verify_proof
from farmctl.pools.failover import Pools
from farmctl.pools.grin import GrinClient
from farmctl.pools.relaying import Relaying
from farmctl.pools.settings import PoolSection
from node.spec.coin import Coin
from node.spec.cuckoo import Cycle
from node.stratum.settings import StratumSettings
from tests.farmctl.pools.grin_node import GrinNode, running_node
from tests.farmctl.pools.test_grin import small
from tests.support.ports import free_port

SECONDS = 20.0
COIN = small(Cycle.CUCKATOO)


def node_of(**more: Any) -> GrinNode:
    return GrinNode(graphs.Cycle.CUCKATOO, COIN.pow.edge_bits, COIN.weight(7), **more)


@dataclass
class Rig:
    node: GrinNode
    pools: Pools
    relaying: Relaying
    miners: list[GrinMiner]

    async def connect(self, login: str = "alice") -> GrinMiner:
        miner = GrinMiner(
            *await asyncio.open_connection("127.0.0.1", self.relaying.server.ports[0])
        )
        self.miners.append(miner)
        if login:
            said = await miner.ask("login", {"login": login, "pass": "x", "agent": "test"})
            assert said["result"] == "ok" and said["error"] is None
        return miner


@dataclass
class GrinMiner:
    """Speaks the protocol as grin-miner does; jobs that come unasked are kept in ``news``."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __post_init__(self) -> None:
        self.news: list[dict[str, Any]] = []
        self._count = 0

    async def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        self._count += 1
        body = {"id": str(self._count), "jsonrpc": "2.0", "method": method, "params": params}
        return await self.say(json.dumps(body).encode())

    async def say(self, line: bytes) -> dict[str, Any]:
        self.writer.write(line + b"\n")
        while True:
            said = await self.hear()
            if said["method"] != "job":
                return said
            self.news.append(said["params"])

    async def hear(self) -> dict[str, Any]:
        line = await asyncio.wait_for(self.reader.readline(), SECONDS)
        said: dict[str, Any] = json.loads(line)
        return said

    async def job(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("getjobtemplate"))["result"]
        return found

    async def next_job(self) -> dict[str, Any]:
        while not self.news:
            said = await self.hear()
            assert (said["id"], said["method"]) == ("Stratum", "job")
            self.news.append(said["params"])
        return self.news.pop(0)

    async def submit(self, job: dict[str, Any], found: Submission, **changes: Any) -> Any:
        share = {
            "edge_bits": COIN.pow.edge_bits,
            "height": job["height"],
            "job_id": job["job_id"],
            "nonce": found.nonce,
            "pow": list(found.edges),
        }
        said = await self.ask("submit", share | changes)
        return said["result"] or said["error"]["code"]


def work_of(job: dict[str, Any], coin: Coin = COIN) -> Work:
    """What a miner searches at its own difficulty."""
    target = coin.target(job["difficulty"], job["height"])
    header = bytes.fromhex(job["pre_pow"])
    return make_work(coin.name, coin.pow, header, target, job["height"])


@asynccontextmanager
async def rig(node: GrinNode | None = None, **settings: Any) -> AsyncIterator[Rig]:
    behind = node or node_of()
    async with running_node(behind) as port:
        section = PoolSection(url=f"stratum+tcp://127.0.0.1:{port}", user="farm", chain="grin")
        relays: list[Relaying] = []
        pools = Pools(
            1,
            lambda place, on_job: GrinClient(section, COIN, verify_proof, on_job),
            lambda work: [each.tell(work) for each in relays] and None,
        )
        limits = StratumSettings(**{"relay_port": free_port(), **settings})
        limits.check()
        relaying = Relaying(limits, pools, {COIN.name: COIN})
        relays.append(relaying)
        running = asyncio.create_task(pools.run())
        await relaying.start()
        try:
            async with asyncio.timeout(SECONDS):
                while relaying.server.relay.book.current is None:
                    await asyncio.sleep(0.005)
            made = Rig(behind, pools, relaying, [])
            yield made
        finally:
            for miner in made.miners:
                miner.writer.close()
            await relaying.stop()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
