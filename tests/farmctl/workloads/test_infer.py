"""INFER as a runner answers it: real worker, real CPU session, model fetched over the bus."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from drivers.errors import DeviceLost, OutOfMemory, WrongAnswer
from drivers.program import Program
from drivers.worker import WorkerSession
from farmctl.agent.models import ModelFiles
from farmctl.domain import Priority, Workload
from farmctl.inference.messages import WorkerStatus, worker_subject
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
from node.models.eviction import Policy
from node.models.torrent import describe_folder
from node.spec.cvm import load, run
from tests.farmctl.rig_bench import until
from tests.node.workshop import dense_model

DEVICE = "rig-a/cpu:0"
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
    await until(lambda: any(one.pattern.startswith("infer.run.") for one in bus.listeners))
    yield made
    await made.stop()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError, DeviceLost):
        await running


async def ask(
    bus: MemoryBus, model: str, data: bytes, seconds: float = 20.0, device: str = DEVICE
) -> InferReply:
    request = InferRequest(model=model, input=data, seconds=seconds)
    return await bus.request(worker_subject(device), request, InferReply, max(seconds, 5.0))


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
    models.files[MODEL]["params"] = PARAMS + b"\0"
    changed = await ask(bus, MODEL, data)
    assert changed.status == "unavailable"
    assert "other files" in changed.detail
    models.files[MODEL]["params"] = PARAMS
    late = await ask(bus, MODEL, data, seconds=0.0)
    assert late.status == "unavailable" and "too late" in late.detail


async def test_a_result_that_no_message_holds_is_told_as_such(
    worker: infer.Infer, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer, "TENSOR_BYTES_LIMIT", 2)
    reply = await ask(bus, MODEL, bytes(6))
    assert (reply.status, reply.output) == ("too_large", b"") and "12 bytes" in reply.detail


async def test_a_lost_worker_is_an_outage_and_a_fault_of_the_device(
    place: Place, bus: MemoryBus, models: ModelServer
) -> None:
    made = infer.Infer(place)
    await made.start()
    running = asyncio.create_task(made.run())
    await until(lambda: any(one.pattern == worker_subject(DEVICE) for one in bus.listeners))
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


class Heard:
    """What a worker tells of itself."""

    def __init__(self) -> None:
        self.statuses: list[WorkerStatus] = []

    async def take(self, _: str, status: WorkerStatus) -> None:
        self.statuses.append(status)


async def test_requests_for_one_model_are_served_together(
    place: Place, bus: MemoryBus, models: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    await bus.subscribe("infer.worker.*", WorkerStatus, heard.take)
    batches: list[int] = []
    run_many = WorkerSession.run_many

    def counted(session: WorkerSession, model: str, inputs: list[bytes]) -> list[bytes]:
        batches.append(len(inputs))
        return run_many(session, model, inputs)

    monkeypatch.setattr(WorkerSession, "run_many", counted)
    monkeypatch.setattr(infer, "BATCH_SECONDS", 60.0)  # however busy this machine is
    async with serving(place, bus) as made:
        graph = load(SYMBOL, PARAMS)
        inputs = [bytes([n, 1, 2, 3, 4, 5]) for n in range(40)]
        replies = await asyncio.gather(*(ask(bus, MODEL, each) for each in inputs))
        assert [each.output for each in replies] == [run(graph, each) for each in inputs]
        assert sum(batches) == 40 and max(batches) == infer.BATCH_LIMIT
        wrong = await asyncio.gather(ask(bus, MODEL, b"x"), ask(bus, MODEL, inputs[0]))
        assert [each.status for each in wrong] == ["logic_error", "ok"]
        status = made.status()
        assert (status.requests, status.waiting, status.models) == (41, 0, (MODEL,))
        assert (status.residency.hits, status.residency.misses) == (41, 1)
        assert status.p99_milliseconds is not None
        await until(lambda: any(each.models for each in heard.statuses))
    assert heard.statuses[-1].is_leaving
    assert heard.statuses[0].device == DEVICE


async def test_one_too_many_is_turned_away_at_once(
    worker: infer.Infer, bus: MemoryBus, models: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker._turn:  # the device is taken
        data = bytes(load(SYMBOL, PARAMS).input_bytes)
        asked = [asyncio.create_task(ask(bus, MODEL, data)) for _ in range(infer.WAITING_LIMIT)]
        await until(lambda: worker.status().waiting == infer.WAITING_LIMIT)
        refused = await ask(bus, MODEL, data)
        assert refused.status == "unavailable" and "waiting already" in refused.detail
    assert {each.status for each in await asyncio.gather(*asked)} == {"ok"}


@pytest.mark.parametrize("wrong", [[], [b"\0"]], ids=["none", "short"])
async def test_an_answer_of_another_form_is_a_fault_of_the_device(
    place: Place, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, wrong: list[bytes]
) -> None:
    server = ModelServer()
    await bus.serve("node.model", ModelRequest, server.give)
    made = infer.Infer(place)
    await made.start()
    running = asyncio.create_task(made.run())
    await until(lambda: any(one.pattern == worker_subject(DEVICE) for one in bus.listeners))
    monkeypatch.setattr(WorkerSession, "run_many", lambda *_: wrong)
    assert (await ask(bus, MODEL, bytes(6))).status == "unavailable"
    with pytest.raises(WrongAnswer):
        await asyncio.wait_for(running, 10)
    await made.stop()


async def test_inputs_that_are_none_say_nothing_of_the_time(
    worker: infer.Infer, bus: MemoryBus, models: ModelServer
) -> None:
    """Else a flood of them would have slow requests served together."""
    assert (await ask(bus, MODEL, bytes(6))).status == "ok"
    seconds = worker._models.resident.seconds(MODEL)
    assert (await ask(bus, MODEL, b"x")).status == "logic_error"
    assert worker._models.resident.seconds(MODEL) == seconds


async def test_slow_requests_are_not_served_together(
    place: Place, bus: MemoryBus, models: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one batch neither keeps others waiting nor outlasts the session's deadline."""
    batches: list[int] = []
    run_many = WorkerSession.run_many

    def slow(session: WorkerSession, model: str, inputs: list[bytes]) -> list[bytes]:
        batches.append(len(inputs))
        time.sleep(0.05 * len(inputs))
        return run_many(session, model, inputs)

    monkeypatch.setattr(WorkerSession, "run_many", slow)
    async with serving(place, bus):
        asked = (ask(bus, MODEL, bytes([n, 1, 2, 3, 4, 5])) for n in range(12))
        replies = await asyncio.gather(*asked)
    assert {each.status for each in replies} == {"ok"}
    assert batches[0] == 1 and max(batches) <= infer.BATCH_SECONDS / 0.05


async def test_models_that_come_too_late_block_none(
    place: Place, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than are sent for at once, and nobody waits for them any more."""
    server = ModelServer()
    give = server.give

    async def slow(request: ModelRequest) -> ModelReply:
        await asyncio.sleep(0.02)
        return await give(request)

    await bus.serve("node.model", ModelRequest, slow)
    names = [add_copy(server, number) for number in range(4)]
    async with serving(place, bus) as made:
        late = await asyncio.gather(*(ask(bus, name, bytes(6), 0.05) for name in names))
        assert {each.status for each in late} == {"unavailable"}
        assert (await ask(bus, MODEL, bytes(6))).status == "ok"
        assert (made.status().residency.misses, made.status().waiting) == (1, 0)


async def test_models_make_way_within_the_bytes(place: Place, bus: MemoryBus) -> None:
    server = ModelServer()
    await bus.serve("node.model", ModelRequest, server.give)
    names = [add_copy(server, number) for number in range(3)]
    size = 4 * 18  # of the layer's weights
    small = dataclasses.replace(place, infer_bytes=2 * size, infer_policy=Policy.LRU)
    async with serving(small, bus) as made:
        for turn in (0, 1, 0, 2, 0):
            assert (await ask(bus, names[turn], bytes(6))).status == "ok"
        status = made.status()
        assert set(status.models) == {names[0], names[2]}
        counts = status.residency
        assert (counts.hits, counts.misses, counts.evictions) == (2, 3, 1)
        assert counts.used_bytes == 2 * size


async def test_a_device_without_room_makes_some(
    place: Place, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The books may think that there is room where the device has none."""
    server = ModelServer()
    await bus.serve("node.model", ModelRequest, server.give)
    first, second = add_copy(server, 0), add_copy(server, 1)
    real = WorkerSession.load
    held: set[str] = set()

    def tight(session: WorkerSession, model: str, program: object) -> None:
        if held - {model}:
            held.clear()
            raise OutOfMemory("no room")
        held.add(model)
        real(session, model, program)  # type: ignore[arg-type]

    monkeypatch.setattr(WorkerSession, "load", tight)
    async with serving(place, bus) as made:
        assert (await ask(bus, first, bytes(6))).status == "ok"
        assert (await ask(bus, second, bytes(6))).status == "ok"
        assert made.status().models == (second,)


async def test_a_model_that_was_here_before_is_recalled(
    place: Place, bus: MemoryBus, models: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the disk as the device takes it, without its parameters being read."""
    loads: list[str] = []
    real = WorkerSession.load

    def counted(session: WorkerSession, model: str, program: Program) -> None:
        loads.append(model)
        real(session, model, program)

    monkeypatch.setattr(WorkerSession, "load", counted)
    data = bytes([3, 1, 2, 3, 4, 5])
    expected = run(load(SYMBOL, PARAMS), data)
    folder = place.folder
    for step, known in (
        (None, 1),
        (None, 1),
        (folder / "packed", 2),  # what the device had is gone
        (folder / "models" / MODEL / "symbol", 3),  # so is what says that the symbol is right
    ):
        if step is not None:
            shutil.rmtree(step) if step.is_dir() else step.write_bytes(b"{}")
        async with serving(place, bus):
            assert (await ask(bus, MODEL, data)).output == expected
        assert loads == [MODEL] * known


def add_copy(server: ModelServer, number: int) -> str:
    """The dense layer under another name."""
    symbol = SYMBOL + b" " * (number + 1)
    files = {"symbol": symbol, "params": PARAMS}
    name = describe_folder(files).infohash.hex()
    server.files[name] = files
    return name


@contextlib.asynccontextmanager
async def serving(place: Place, bus: MemoryBus) -> AsyncIterator[infer.Infer]:
    made = infer.Infer(place)
    await made.start()
    running = asyncio.create_task(made.run())
    await until(lambda: any(one.pattern == worker_subject(DEVICE) for one in bus.listeners))
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.stop()
