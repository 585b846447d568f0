"""INFER as a runner answers it: real worker, real CPU session, model fetched over the bus."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from drivers.errors import DeviceLost
from farmctl.agent.models import ModelFiles
from farmctl.domain import Priority, Workload
from farmctl.memory_bus import MemoryBus
from farmctl.messages import (
    AssignmentMessage,
    InferReply,
    InferRequest,
    ModelReply,
    ModelRequest,
)
from farmctl.workloads import infer
from farmctl.workloads.base import Place
from node.models.torrent import describe_folder
from node.spec.cvm import load, run
from tests.farmctl.rig_bench import until
from tests.node.workshop import dense_model

SYMBOL, PARAMS = dense_model()
MODEL = describe_folder({"symbol": SYMBOL, "params": PARAMS}).infohash.hex()
BAD = b'{"nodes": 1}'
BAD_MODEL = describe_folder({"symbol": BAD, "params": PARAMS}).infohash.hex()
FILES = {MODEL: {"symbol": SYMBOL, "params": PARAMS}, BAD_MODEL: {"symbol": BAD, "params": PARAMS}}
CHUNK = 100


class ModelServer:
    """Answers ``node.model`` in small chunks, as a node does in large ones."""

    def __init__(self) -> None:
        self.files = {model: dict(files) for model, files in FILES.items()}
        self.asked = 0

    async def give(self, request: ModelRequest) -> ModelReply:
        self.asked += 1
        content = self.files.get(request.model, {}).get(request.file)
        if content is None:
            return ModelReply(found=False, detail="unknown")
        chunk = content[request.offset : request.offset + CHUNK]
        return ModelReply(found=True, total_bytes=len(content), chunk=chunk)


@pytest.fixture
async def models(bus: MemoryBus) -> ModelServer:
    server = ModelServer()
    await bus.serve("node.model", ModelRequest, server.give)
    return server


@pytest.fixture
async def worker(place: Place, bus: MemoryBus, models: ModelServer) -> AsyncIterator[infer.Infer]:
    assignment = AssignmentMessage(
        device="cpu:0", workload=Workload.INFER, priority=Priority.INFER_RESERVE, reason="test"
    )
    made = infer.create(place, assignment)
    assert isinstance(made, infer.Infer)
    await made.start()
    running = asyncio.create_task(made.run())
    await until(lambda: any(one.pattern == infer.SUBJECT for one in bus.listeners))
    yield made
    await made.stop()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError, DeviceLost):
        await running


async def ask(bus: MemoryBus, model: str, data: bytes, seconds: float = 20.0) -> InferReply:
    request = InferRequest(model=model, input=data, deadline=time.time() + seconds)
    return await bus.request(infer.SUBJECT, request, InferReply, max(seconds, 5.0))


async def test_answers_equal_the_reference(
    worker: infer.Infer, bus: MemoryBus, models: ModelServer
) -> None:
    graph = load(SYMBOL, PARAMS)
    random = np.random.default_rng(1)
    for _ in range(20):
        data = random.integers(-128, 128, graph.input_bytes, dtype=np.int8).tobytes()
        reply = await ask(bus, MODEL, data)
        assert reply.status == "ok", reply.detail
        assert reply.output == run(graph, data)
        assert reply.device == "rig-a/cpu:0"
    chunks = -(-len(SYMBOL) // CHUNK) + -(-len(PARAMS) // CHUNK)
    assert models.asked == chunks
    assert worker.rates()["infers_per_second"] > 0


async def test_a_fault_of_the_model_or_its_input_is_told_as_one(
    worker: infer.Infer, bus: MemoryBus
) -> None:
    reply = await ask(bus, MODEL, b"\x01")
    assert reply.status == "logic_error"
    assert "1 bytes" in reply.detail


async def test_what_is_no_consensus_fault_is_an_outage(
    worker: infer.Infer, bus: MemoryBus, models: ModelServer
) -> None:
    data = bytes(load(SYMBOL, PARAMS).input_bytes)
    unknown = await ask(bus, "ab" * 20, data)
    assert unknown.status == "unavailable"
    assert "no model" in unknown.detail
    assert (await ask(bus, "../../etc", data)).status == "unavailable"
    assert (await ask(bus, BAD_MODEL, data)).status != "ok"
    assert (await ask(bus, MODEL, data, seconds=-1.0)).status == "unavailable"
    models.files[MODEL]["params"] = PARAMS + b"\0"
    changed = await ask(bus, MODEL, data)
    assert changed.status == "unavailable"
    assert "other files" in changed.detail


async def test_a_lost_worker_is_an_outage_and_a_fault_of_the_device(
    place: Place, bus: MemoryBus, models: ModelServer
) -> None:
    made = infer.Infer(place)
    await made.start()
    running = asyncio.create_task(made.run())
    await until(lambda: any(one.pattern == infer.SUBJECT for one in bus.listeners))
    data = bytes(load(SYMBOL, PARAMS).input_bytes)
    assert (await ask(bus, MODEL, data)).status == "ok"
    assert made._session is not None
    made._session._process.kill()
    reply = await ask(bus, MODEL, data)
    assert reply.status == "unavailable"
    with pytest.raises(DeviceLost):
        await asyncio.wait_for(running, 10)
    await made.stop()


async def test_a_model_is_kept_on_the_disk_and_verified_again(
    place: Place, bus: MemoryBus, models: ModelServer
) -> None:
    folder = place.folder / "models"
    files = ModelFiles(folder)
    assert await files.get(bus, MODEL) == (SYMBOL, PARAMS)
    asked = models.asked
    assert await files.get(bus, MODEL) == (SYMBOL, PARAMS)
    assert models.asked == asked
    (folder / MODEL / "params").write_bytes(PARAMS[:-1])
    assert await files.get(bus, MODEL) == (SYMBOL, PARAMS)
    assert models.asked > asked


async def test_models_are_bounded_in_bytes(
    place: Place, bus: MemoryBus, models: ModelServer
) -> None:
    folder = place.folder / "models"
    files = ModelFiles(folder, capacity_bytes=len(SYMBOL) + len(PARAMS) + 10)
    await files.get(bus, MODEL)
    await files.get(bus, BAD_MODEL)
    assert [one.name for one in folder.iterdir()] == [BAD_MODEL]
