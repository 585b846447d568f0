"""Coins of Grin's kind: real searches and real verifiers on small graphs of the same family."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from dataclasses import replace

import pytest

from drivers.cpu.cuckoo import CuckooSearch
from drivers.kernels import graphs
from farmctl.messages import Submission, Work
from farmctl.mining.task import judge, read_work, verify_proof
from farmctl.pools.connection import PoolLost
from farmctl.pools.grin import GrinClient
from farmctl.pools.settings import PoolSection
from node.chains.grin import CUCKATOO31, GRIN
from node.spec.coin import Coin
from node.spec.cuckoo import Cycle, Verdict
from tests.farmctl.pools.grin_node import GrinNode, difficulty_of, running_node
from tests.farmctl.pools.test_pools import bad_pool
from tests.support.grin_vectors import CUCKATOO, HEADER

EDGE_BITS = 12
BIT_WEIGHT = 8
SECONDS = 20.0


def small(cycle: Cycle) -> Coin:
    """Grin on graphs of 2^12 edges."""
    pow = replace(GRIN.pow, edge_bits=EDGE_BITS, cycle=cycle)
    return replace(GRIN, name="small", pow=pow, bit_weight=BIT_WEIGHT)


def node_of(coin: Coin, **more: int) -> GrinNode:
    cycle = graphs.Cycle(coin.pow.cycle.value)
    return GrinNode(cycle, EDGE_BITS, coin.weight(7), **more)  # type: ignore[arg-type]


def client_of(port: int, coin: Coin) -> GrinClient:
    section = PoolSection(url=f"stratum+tcp://127.0.0.1:{port}", user="farm@example", chain="grin")
    section.check()
    return GrinClient(section, coin, verify_proof)


def solve(work: Work, first: int = 0, low: bool = False) -> Submission:
    """The first cycle that meets the target, or the first that does not."""
    task = read_work(work)
    search = CuckooSearch(1, 1 << 26)
    for nonce in itertools.count(first, 64):
        for found in search.search(task.job, nonce, 64, lambda: False)[1]:
            if task.meets_target(found.edges) is not low:
                assert judge(task, found) is Verdict.OK
                return Submission(
                    chain=work.chain,
                    seal_hash=work.seal_hash,
                    nonce=found.nonce,
                    edges=found.edges,
                    worker="rig-a/cpu:0",
                )
    raise AssertionError("unreachable")


@pytest.mark.parametrize("cycle", list(Cycle))
async def test_shares_are_found_verified_and_taken(cycle: Cycle) -> None:
    coin = small(cycle)
    node = node_of(coin, difficulty=300)
    async with running_node(node) as port:
        client = client_of(port, coin)
        work = await client.open()
        assert (work.cycle, work.nonce_order, work.height) == (cycle.value, "big", 7)
        assert node.logins == [{"login": "farm@example", "pass": "", "agent": "farmctl"}]
        shares = [solve(work)]
        shares.append(solve(work, shares[0].nonce + 1))
        assert [(await client.submit(share)).outcome for share in shares] == ["accepted"] * 2
        assert node.taken == [(0, share.nonce) for share in shares] and not node.refused
        assert all(difficulty_of(s.edges, EDGE_BITS, coin.weight(7)) >= 300 for s in shares)
        await client.close()


async def test_nothing_is_sent_that_the_node_would_refuse() -> None:
    coin = small(Cycle.CUCKATOO)
    node = node_of(coin, difficulty=200)
    async with running_node(node) as port:
        client = client_of(port, coin)
        work = await client.open()
        low, good = solve(work, low=True), solve(work)
        assert difficulty_of(low.edges, EDGE_BITS, coin.weight(7)) < 200
        wrong = (
            low,
            good.model_copy(update={"nonce": good.nonce + 1}),
            good.model_copy(update={"edges": good.edges[:-1]}),
            good.model_copy(update={"edges": (*good.edges[:-1], 2**EDGE_BITS)}),
            good.model_copy(update={"seal_hash": "11" * 250}),
        )
        replies = [await client.submit(each) for each in wrong]
        assert [r.outcome for r in replies] == [*["rejected"] * 4, "stale"]
        assert (await client.submit(good)).outcome == "accepted"
        assert (await client.submit(good)).duplicate
        assert (len(node.taken), node.refused) == (1, [])
        await client.close()


async def test_new_work_is_heard_and_old_work_is_late() -> None:
    coin = small(Cycle.CUCKAROO)
    node = node_of(coin)
    async with running_node(node) as port:
        client = client_of(port, coin)
        heard: asyncio.Queue[Work] = asyncio.Queue()
        client.on_job = heard.put_nowait
        old = await client.open()
        heard.get_nowait()
        node.next_job("ab" * 250, height=8, difficulty=2)
        fresh = await asyncio.wait_for(heard.get(), SECONDS)
        assert (fresh.height, fresh.seal_hash) == (8, "ab" * 250)
        reply = await client.submit(solve(old))
        assert reply.outcome == "stale" and "too late" in reply.detail
        assert (await client.submit(solve(fresh))).outcome == "accepted"
        await client.close()


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (None, "gives no work"),
        ({"difficulty": 0, "height": 1, "job_id": 0, "pre_pow": "00"}, "job is none"),
        ({"difficulty": 1, "height": -1, "job_id": 0, "pre_pow": "00"}, "job is none"),
        ({"difficulty": 1, "height": 1, "job_id": 0, "pre_pow": ""}, "job is none"),
        ({"difficulty": 1, "height": 1, "job_id": 0, "pre_pow": "0g"}, "cannot be searched"),
        ({"difficulty": 1, "height": 1, "job_id": 0, "pre_pow": "00" * 1025}, "job is none"),
        ({"difficulty": True, "height": 1, "job_id": 0, "pre_pow": "00"}, "job is none"),
        ([1], "job is none"),
    ],
)
async def test_a_node_that_gives_no_job_is_left(job: object, words: str) -> None:
    def answer(said: dict[str, object]) -> bytes:
        told = "ok" if said["method"] == "login" else job
        return json.dumps({"id": said["id"], "result": told}).encode() + b"\n"

    async with bad_pool(answer) as port:
        client = client_of(port, small(Cycle.CUCKATOO))
        with pytest.raises(PoolLost, match=words):
            await client.open()
        await client.close()


async def test_graphs_that_are_worth_nothing_are_not_searched() -> None:
    coin = replace(small(Cycle.CUCKATOO), fades_at=0, fade_blocks=1)
    async with running_node(node_of(small(Cycle.CUCKATOO), height=100)) as port:
        client = client_of(port, coin)
        with pytest.raises(PoolLost, match="weight of 0"):
            await client.open()
        await client.close()


async def test_published_proofs_of_full_size_are_taken() -> None:
    """Grin's own vector of Cuckatoo31: its last four header bytes and nonce make ours."""
    bits, nonce, edges = CUCKATOO[1]
    coin = CUCKATOO31
    node = GrinNode(
        graphs.Cycle.CUCKATOO, bits, coin.weight(7), jobs=[HEADER[:72].hex()], difficulty=1
    )
    async with running_node(node) as port:
        client = client_of(port, coin)
        work = await client.open()
        share = Submission(
            chain=work.chain,
            seal_hash=work.seal_hash,
            nonce=int.from_bytes(struct.pack("<I", nonce), "big"),
            edges=edges,
            worker="rig-a/cpu:0",
        )
        assert (await client.submit(share)).outcome == "accepted"
        assert node.taken == [(0, share.nonce)] and not node.refused
        moved = share.model_copy(update={"nonce": share.nonce + 1})
        assert (await client.submit(moved)).outcome == "rejected"
        assert coin.difficulty(edges, 7) == difficulty_of(edges, bits, coin.weight(7))
        await client.close()
