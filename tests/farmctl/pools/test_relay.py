"""A pool of another coin over real sockets: a node that judges by independent code, the farm's
client, the relay, and miners that search real graphs."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace

import pytest

from drivers.kernels import graphs
from farmctl.config import Config
from farmctl.errors import ConfigError
from farmctl.node_process import NodeProcess
from farmctl.pools.settings import PoolSection
from node.chains.grin import CUCKATOO31
from node.stratum import book
from node.stratum.settings import StratumSettings
from tests.farmctl.pools.grin_node import GrinNode, running_node
from tests.farmctl.pools.grin_rig import SECONDS, GrinMiner, Rig, node_of, rig, work_of
from tests.farmctl.pools.test_grin import solve
from tests.support.grin_vectors import CUCKATOO, HEADER
from tests.support.ports import free_port


async def until_forwarded(made: Rig, count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while made.relaying.server.relay.forwarded.total() < count:
            await asyncio.sleep(0.005)


async def test_shares_go_all_the_way_up() -> None:
    async with rig() as made:
        miner = await made.connect()
        job = await miner.job()
        assert job == made.node.template() | {"difficulty": 1, "job_id": job["job_id"]}
        found = solve(work_of(job))
        assert await miner.submit(job, found) == "ok"
        await until_forwarded(made, 1)
        assert made.node.taken == [(0, found.nonce)] and not made.node.refused
        relay = made.relaying.server.relay
        assert relay.forwarded == {"accepted": 1}
        assert relay.work == {"alice": job["difficulty"]}
        status = await miner.ask("status")
        assert (status["result"]["accepted"], status["result"]["rejected"]) == (1, 0)


async def test_only_shares_that_the_other_side_wants_go_up() -> None:
    """The farm's own miners work for a lower difficulty."""
    async with rig(node_of(difficulty=10**6)) as made:
        miner = await made.connect()
        job = await miner.job()
        shares = [solve(work_of(job))]
        shares.append(solve(work_of(job), shares[0].nonce + 1))
        assert [await miner.submit(job, share) for share in shares] == ["ok", "ok"]
        relay = made.relaying.server.relay
        assert relay.discipline.counts.shares == {"accepted": 2}
        assert not relay.forwarded and not made.node.taken and not made.node.refused


async def test_refusals_are_told_apart() -> None:
    async with rig(node_of(difficulty=2000), minimum_difficulty=400) as made:
        miner = await made.connect()
        job = await miner.job()
        assert job["difficulty"] == 400
        good, low = solve(work_of(job)), solve(work_of(job), low=True)
        assert await miner.submit(job, low) == -32501
        assert await miner.submit(job, good, nonce=good.nonce + 1) == -32502
        assert await miner.submit(job, good, pow=list(good.edges[:-1])) == -32502
        assert await miner.submit(job, good, pow=[2**40] * 42) == -32502
        assert await miner.submit(job, good, edge_bits=31) == -32502
        assert await miner.submit(job, good, job_id=job["job_id"] + 1) == -32503
        assert await miner.submit(job, good, height=job["height"] + 1) == -32503
        assert await miner.submit(job, good) == "ok"
        other = await made.connect("bob")
        assert await other.submit(await other.job(), good) == -32502, "a nonce is taken once"
        counts = made.relaying.server.relay.discipline.counts.shares
        assert counts == {
            "accepted": 1,
            "low_difficulty": 1,
            "invalid": 4,
            "stale": 2,
            "duplicate": 1,
        }


async def test_new_jobs_reach_every_miner_and_old_ones_go_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(book, "GRACE_SECONDS", 0.0)
    async with rig() as made:
        miners = [await made.connect("alice"), await made.connect("bob")]
        old = await miners[0].job()
        late = solve(work_of(old))
        made.node.next_job("cd" * 250, height=8)
        for miner in miners:
            fresh = await miner.next_job()
            while fresh["height"] == 7:
                fresh = await miner.next_job()
            assert (fresh["height"], fresh["pre_pow"]) == (8, "cd" * 250)
        assert await miners[0].submit(old, late) == -32503
        assert await miners[0].submit(fresh, solve(work_of(fresh))) == "ok"
        await until_forwarded(made, 1)
        assert [job for job, _ in made.node.taken] == [1]


async def test_difficulty_follows_the_pace_up_to_what_the_other_side_asks() -> None:
    async with rig(node_of(difficulty=1000), share_seconds=3600.0) as made:
        miner = await made.connect()
        job, nonce = await miner.job(), 0
        for _ in range(14):
            found = solve(work_of(job), nonce)
            assert await miner.submit(job, found) == "ok"
            nonce = found.nonce + 1
        made.node.next_job("ef" * 250, height=9, difficulty=1000)
        fresh = await miner.next_job()
        assert fresh["difficulty"] == 4, "a slower pace is wanted: fourfold, the most at once"
    async with rig(node_of(difficulty=1000), share_seconds=0.1, minimum_difficulty=5000) as made:
        assert (await (await made.connect()).job())["difficulty"] == 1000


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32600),
        (b"[]", -32600),
        (b'{"id":1,"method":"getjobtemplate"}', -32500),
        (b'{"id":"1","jsonrpc":"2.0","method":"getgrins","params":null}', -32601),
        (b'{"id":"1","method":"login","params":null}', -32600),
        (b'{"id":"1","method":"login","params":{"login":""}}', -32500),
        (b'{"id":{},"method":"login"}', -32600),
    ],
)
async def test_what_is_no_request_is_named(line: bytes, code: int) -> None:
    async with rig() as made:
        miner = await made.connect(login="")
        said = await miner.say(line)
        assert said["error"]["code"] == code and said["result"] is None
        assert (await miner.ask("login", {"login": "a", "pass": "", "agent": ""}))["result"] == "ok"
        assert (await miner.ask("keepalive"))["result"] == "ok"


async def test_a_lost_pool_leaves_no_work() -> None:
    async with rig() as made:
        miner = await made.connect()
        job = await miner.job()
        made.relaying.tell(made.pools.work().model_copy(update={"available": False}))
        said = await miner.ask("getjobtemplate")
        assert said["error"]["code"] == -32000
        assert await miner.submit(job, solve(work_of(job))) == -32503


def test_a_relay_needs_a_coin(config: Config) -> None:
    with pytest.raises(ConfigError, match="relay_port needs"):
        NodeProcess(replace(config, stratum=StratumSettings(relay_port=1)))


async def test_a_published_proof_of_full_size_goes_through_the_whole_process(
    config: Config,
) -> None:
    """`farmctl node run` between a node of Cuckatoo31 and a miner that has Grin's own vector."""
    bits, nonce, edges = CUCKATOO[1]
    behind = GrinNode(graphs.Cycle.CUCKATOO, bits, CUCKATOO31.weight(7), jobs=[HEADER[:72].hex()])
    async with running_node(behind) as port:
        pool = PoolSection(f"stratum+tcp://127.0.0.1:{port}", user="farm", chain="cuckatoo31")
        stratum = StratumSettings(relay_port=free_port())
        stop = asyncio.Event()
        process = NodeProcess(replace(config, pools=(pool,), stratum=stratum))
        running = asyncio.create_task(process.run(stop))
        try:
            miner = await wait_for_work(stratum.relay_port)
            job = await miner.job()
            assert (job["pre_pow"], job["height"]) == (HEADER[:72].hex(), 7)
            share = {"height": 7, "job_id": job["job_id"], "edge_bits": bits, "pow": list(edges)}
            share["nonce"] = int.from_bytes(struct.pack("<I", nonce), "big")
            moved = share | {"nonce": share["nonce"] + 1}
            assert (await miner.ask("submit", moved))["error"]["code"] == -32502
            assert (await miner.ask("submit", share))["result"] == "ok"
            async with asyncio.timeout(SECONDS):
                while not behind.taken:
                    await asyncio.sleep(0.01)
            assert behind.taken == [(0, share["nonce"])] and not behind.refused
            miner.writer.close()
        finally:
            stop.set()
            await asyncio.wait_for(running, SECONDS)


async def wait_for_work(port: int) -> GrinMiner:
    """A miner that has logged in and can have a job."""
    async with asyncio.timeout(2 * SECONDS):
        while True:
            try:
                miner = GrinMiner(*await asyncio.open_connection("127.0.0.1", port))
            except OSError:
                await asyncio.sleep(0.05)
                continue
            await miner.ask("login", {"login": "alice", "pass": "", "agent": "test"})
            if (await miner.ask("getjobtemplate"))["result"]:
                return miner
            miner.writer.close()
            await asyncio.sleep(0.05)
