"""INFER as a runner answers it: real worker, real CPU session, model fetched over the bus."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from drivers.errors import DeviceLost, WrongAnswer
from drivers.worker import WorkerSession
from farmctl.inference.messages import WorkerStatus
from farmctl.memory_bus import MemoryBus
from farmctl.messages import (
    ModelRequest,
)
from farmctl.workloads import infer
from farmctl.workloads.base import Place
from node.spec.cvm import load, run
from tests.farmctl.rig_bench import until
from tests.farmctl.workloads.infer_bench import (
    BAD_MODEL,
    CHUNK,
    DEVICE,
    MODEL,
    PARAMS,
    SYMBOL,
    ModelServer,
    ask,
    serving,
    start,
)


class Heard:
    """What a worker tells of itself."""

    def __init__(self) -> None:
        self.statuses: list[WorkerStatus] = []

    async def take(self, _: str, status: WorkerStatus) -> None:
        self.statuses.append(status)


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
    made, running = await start(place, bus)
    data = bytes(load(SYMBOL, PARAMS).input_bytes)
    assert (await ask(bus, MODEL, data)).status == "ok"
    assert made._session is not None
    made._session._process.kill()
    reply = await ask(bus, MODEL, data)
    assert reply.status == "unavailable"
    with pytest.raises(DeviceLost):
        await asyncio.wait_for(running, 10)
    await made.stop()


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
    made, running = await start(place, bus)
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
