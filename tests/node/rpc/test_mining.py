"""Mining by getWork over HTTP, as a stand-alone miner does it (cortex-protocol §3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch
from node.core import Node
from node.rpc.registry import find_methods
from node.rpc.server import RpcServer
from node.spec.cuckoo import graph_header, solution_hash
from node.work import VALID_BLOCKS
from tests.node.rpc.running import Running
from tests.node.workshop import CHAIN, EDGE_BITS, Clock, mine, solve


@dataclass(frozen=True)
class Work:
    """The four strings, read as a miner reads them."""

    seal_hash: bytes
    target: int
    height: int

    @classmethod
    def read(cls, strings: list[str]) -> Work:
        seal_hash, seed, target, height = strings
        assert bytes.fromhex(seed[2:]) == bytes(32)
        assert len(target) == 66
        return cls(bytes.fromhex(seal_hash[2:]), int(target, 16), int(height, 16))


def search(work: Work) -> list[str]:
    """The parameters of submitWork. Nothing is known but the work."""
    found = CuckooSearch(1, 1 << 26)
    job = CuckooJob(work.seal_hash, EDGE_BITS)
    for first in count(0, 64):
        for cycle in found.search(job, first, 64, lambda: False)[1]:
            if int.from_bytes(solution_hash(cycle.edges), "big") <= work.target:
                edges = b"".join(edge.to_bytes(4, "big") for edge in cycle.edges)
                seal_hash = "0x" + work.seal_hash.hex()
                return [f"0x{cycle.nonce:016x}", seal_hash, "0x" + edges.hex()]
    raise AssertionError("unreachable")


def ask(node: Node, method: str, *params: Any) -> Any:
    return find_methods()[method].call(node, list(params))


async def test_a_miner_that_only_knows_getwork_finds_blocks(running: Running) -> None:
    await running.ask(running.service.node.refresh_work)
    for height in (1, 2):
        work = Work.read(await running.rpc("ctxc_getWork"))
        assert work.height == height
        solved = search(work)
        assert await running.rpc("ctxc_submitWork", *solved) is True
        assert await running.rpc("ctxc_submitWork", *solved) is False  # a duplicate
        assert await running.rpc("eth_blockNumber") == hex(height)
        await running.ask(running.service.node.refresh_work)
    header = running.service.node.header_at(1)
    assert header is not None and header.nonce_int() < 2**63
    assert graph_header(header.seal_hash(), header.nonce_int())[:32] == header.seal_hash()


async def test_the_messages_of_known_miners_are_answered(
    running: Running, vector_folder: Path
) -> None:
    messages = json.loads((vector_folder / "stratum_examples.json").read_text())["messages"]
    await running.ask(running.service.node.refresh_work)
    answers = {}
    for message in (m["json"] for m in messages if "method" in m["json"]):
        if "<" in str(message["params"]) or "Login" in message["method"]:
            continue
        params = [p for p in message["params"] if p]
        answers[message["method"]] = await running.rpc(message["method"], *params)
    work = answers.pop("ctxc_getWork")
    assert [len(part) for part in work[:3]] == [66, 66, 66]
    assert answers == {"ctxc_submitWork": False, "ctxc_submitHashrate": True}
    assert await running.rpc("eth_hashrate") == "0x25fc9f3"


async def test_no_work_yet_is_an_error_that_miners_know(node: Node) -> None:
    """Its number and text are those of the network's own node."""
    server = RpcServer(node, "127.0.0.1", 0)
    await server.start()
    body = {"id": 1, "method": "ctxc_getWork", "params": []}
    async with httpx.AsyncClient() as client:
        reply = await client.post(f"http://127.0.0.1:{server.port}", json=body)
    await server.stop()
    assert reply.json()["error"] == {"code": -32000, "message": "no mining work available yet"}
    assert not ask(node, "eth_mining")


def test_work_is_good_for_seven_blocks(node: Node, clock: Clock) -> None:
    package = node.refresh_work()
    solved = solve(package.block.header)
    params = [
        "0x" + solved.nonce.hex(),
        "0x" + package.seal_hash.hex(),
        "0x" + b"".join(e.to_bytes(4, "big") for e in solved.solution).hex(),
    ]
    mine(node, clock, VALID_BLOCKS - 1)
    node.refresh_work()
    assert ask(node, "ctxc_submitWork", *params) is True  # late, but an uncle yet
    again = node.refresh_work()
    late = solve(again.block.header)
    mine(node, clock, VALID_BLOCKS)
    node.refresh_work()
    params[:2] = "0x" + late.nonce.hex(), "0x" + again.seal_hash.hex()
    assert ask(node, "ctxc_submitWork", *params) is False


def test_what_is_no_solution_is_refused_and_nothing_breaks(node: Node) -> None:
    package = node.refresh_work()
    solved = solve(package.block.header)
    seal_hash, nonce = "0x" + package.seal_hash.hex(), "0x" + solved.nonce.hex()
    edges = b"".join(e.to_bytes(4, "big") for e in solved.solution)
    wrong = [
        (nonce, "0x" + bytes(32).hex(), edges),  # unknown work
        ("0x" + bytes(8).hex(), seal_hash, edges),  # another graph's
        (nonce, seal_hash, bytes(168)),
        (nonce, seal_hash, b"\xff" * 168),
        (nonce, seal_hash, edges[:164] + edges[:4]),
    ]
    for given, work, solution in wrong:
        assert ask(node, "ctxc_submitWork", given, work, "0x" + solution.hex()) is False
    assert node.head().number == 0
    assert ask(node, "ctxc_submitWork", nonce, seal_hash, "0x" + edges.hex()) is True
    assert node.head().number == 1 and len(solved.solution) == CHAIN.proof_size


async def test_a_short_solution_is_an_error(running: Running) -> None:
    """The network's own node crashes on it."""
    for solution in ("0x", "0x00", "0x" + "00" * 167, "0x" + "00" * 169):
        params = ["0x" + "00" * 8, "0x" + "00" * 32, solution]
        assert (await running.rpc("ctxc_submitWork", *params))["code"] == -32602
