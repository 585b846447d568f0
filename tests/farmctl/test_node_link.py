"""The node on the bus: work, solutions, models and status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from farmctl.agent.artifacts import put_artifact
from farmctl.artifacts import Artifacts
from farmctl.cycles import verify_cycle
from farmctl.memory_bus import MemoryBus
from farmctl.messages import (
    CHUNK_BYTES,
    ArtifactChunk,
    ArtifactRequest,
    KeepReply,
    KeepRequest,
    Message,
    ModelReply,
    ModelRequest,
    NodeStatus,
    RigEvent,
    Submission,
    SubmissionReply,
    Work,
)
from farmctl.node_link import NodeLink
from node.inference import ReferenceEngine
from node.models.input_file import write_input
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.service import NodeService
from node.work import WorkPackage
from tests.node.workshop import CHAIN, MINER, dense_model, solve


class Joined:
    """A service on a bus."""

    def __init__(self, home: Path) -> None:
        self.bus = MemoryBus()
        self.loader = GraphLoader(DirectoryStorage(home / "models"))
        self.service = NodeService(
            CHAIN,
            home,
            self.loader,
            ReferenceEngine(self.loader),
            MINER,
            verify_cycle,
            rpc_port=0,
            on_work=self._announce,
        )
        self.link = NodeLink(CHAIN, self.service, self.loader)
        self.fresh = asyncio.Event()

    def _announce(self, package: WorkPackage) -> None:
        self.link.announce(package)
        self.fresh.set()

    async def work(self) -> Work:
        return await self.bus.request("node.work", Message(), Work)

    async def submit(self, seal_hash: str, nonce: int, edges: tuple[int, ...]) -> SubmissionReply:
        submission = Submission(
            chain="tiny", seal_hash=seal_hash, nonce=nonce, edges=edges, worker="rig/cpu:0"
        )
        return await self.bus.request("node.submit", submission, SubmissionReply)


@pytest.fixture
async def joined(tmp_path: Path) -> AsyncIterator[Joined]:
    made = Joined(tmp_path)
    await made.link.join(made.bus)
    yield made
    await made.service.stop()
    await made.bus.close()


async def test_work_is_given_mined_and_judged(joined: Joined) -> None:
    early = await joined.work()
    assert not early.available and early.detail == "no mining work available yet"
    told: list[Work] = []

    async def hear(_: str, work: Work) -> None:
        told.append(work)

    await joined.bus.subscribe("node.work.new", Work, hear)
    await joined.service.start()
    await joined.fresh.wait()
    work = await joined.work()
    assert (work.height, work.edge_bits, work.compression_rounds) == (1, 10, 4)
    header = joined.service.node.desk.current().block.header
    assert work.seal_hash == header.seal_hash().hex()

    sealed = solve(header)
    nonce, edges = sealed.nonce_int(), sealed.solution
    wrong = await joined.submit(work.seal_hash, nonce + 1, edges)
    assert (wrong.outcome, "not a cycle" in wrong.detail) == ("rejected", True)
    assert (await joined.submit(work.seal_hash, nonce, edges)).outcome == "accepted"
    assert joined.service.node.head() == sealed
    again = await joined.submit(work.seal_hash, nonce, edges)
    assert (again.outcome, "before" in again.detail) == ("rejected", True)
    assert (await joined.submit("00" * 32, nonce, edges)).outcome == "stale"
    assert (await joined.submit("zz", nonce, edges)).outcome == "rejected"
    while not any(w.height == 2 for w in told):
        await asyncio.sleep(0.01)


async def test_work_of_another_chain_is_refused(joined: Joined) -> None:
    other = Submission(chain="x", seal_hash="00" * 32, nonce=0, edges=(), worker="rig/cpu:0")
    reply = await joined.bus.request("node.submit", other, SubmissionReply)
    assert (reply.outcome, reply.detail) == ("rejected", "this node mines tiny, not x")


async def test_models_are_given_in_chunks(joined: Joined) -> None:
    symbol, params = b"s" * (CHUNK_BYTES + 5), b"p"
    model = joined.loader.storage.put_model(symbol, params).hex()
    found = b""
    while len(found) < len(symbol):
        request = ModelRequest(model=model, file="symbol", offset=len(found))
        reply = await joined.bus.request("node.model", request, ModelReply)
        assert reply.found and reply.total_bytes == len(symbol)
        assert 0 < len(reply.chunk) <= CHUNK_BYTES
        found += reply.chunk
    assert found == symbol
    for name in ("00" * 20, "zz"):
        missing = await joined.bus.request(
            "node.model", ModelRequest(model=name, file="params"), ModelReply
        )
        assert not missing.found and missing.detail


async def test_the_status_is_told(joined: Joined) -> None:
    heard: asyncio.Queue[NodeStatus] = asyncio.Queue()

    async def hear(_: str, status: NodeStatus) -> None:
        heard.put_nowait(status)

    await joined.bus.subscribe("node.status", NodeStatus, hear)
    telling = asyncio.create_task(joined.link.run())
    status = await asyncio.wait_for(heard.get(), 5)
    telling.cancel()
    assert (status.chain, status.height, status.balance_wei) == ("tiny", 0, "0")
    assert status.coinbase == "0x" + MINER.hex()


async def test_a_wrong_device_is_told_to_the_farm(joined: Joined) -> None:
    heard: asyncio.Queue[RigEvent] = asyncio.Queue()

    async def hear(_: str, event: RigEvent) -> None:
        heard.put_nowait(event)

    await joined.bus.consume("event.>", "test", RigEvent, hear)
    joined.link.report_engine("ab", "rig-b/cuda:1", "gave a wrong result")
    event = await asyncio.wait_for(heard.get(), 5)
    assert event.rig == "rig-b" and event.body.kind == "fault"
    assert (event.body.device, event.body.code) == ("cuda:1", "infer_mismatch")


async def test_files_are_kept_under_the_name_that_the_network_gives_them(
    joined: Joined, tmp_path: Path
) -> None:
    artifacts = Artifacts(tmp_path / "artifacts", 10**8)
    await joined.bus.serve("artifact.put", ArtifactChunk, artifacts.put)
    await joined.bus.serve("artifact.get", ArtifactRequest, artifacts.get)
    symbol, params = dense_model()
    large = write_input(np.zeros(CHUNK_BYTES, np.int8))
    ids = {
        name: await put_artifact(joined.bus, content)
        for name, content in (("symbol", symbol), ("params", params), ("data", large))
    }

    async def keep(*names: str) -> KeepReply:
        request = KeepRequest.model_validate({"files": {name: ids[name] for name in names}})
        return await joined.bus.request("node.keep", request, KeepReply)

    model, given = await keep("symbol", "params"), await keep("data")
    storage = joined.loader.storage
    assert storage.read_model(bytes.fromhex(model.infohash)) == (symbol, params)
    assert storage.read(bytes.fromhex(given.infohash), "data") == large
    assert await keep("symbol", "params") == model
    for names, said in ((("symbol",), "send symbol and params"), (("data", "params"), "send")):
        refused = await keep(*names)
        assert refused.infohash == "" and said in refused.detail
    ids["data"] = await put_artifact(joined.bus, large[:100])
    assert "the input is" in (await keep("data")).detail
    ids["data"] = "ab" * 32
    assert "no whole artifact" in (await keep("data")).detail
    assert len(list(storage)) == 2
