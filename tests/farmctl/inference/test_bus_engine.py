"""The node's engine over the bus: placement, second tries, and whom it does not believe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from farmctl import bus_engine
from farmctl.bus_engine import BusEngine
from farmctl.inference.messages import (
    TENSOR_BYTES_LIMIT,
    InferReply,
    InferRequest,
    WorkerStatus,
    worker_subject,
)
from farmctl.memory_bus import MemoryBus
from farmctl.messages import INFER_MISMATCH, MAX_PAYLOAD_BYTES, FaultEvent, RigEvent
from node.errors import EngineUnavailable, ModelFault, TooLarge
from node.inference import Answer
from tests.farmctl.inference.test_board import EMPTY, inventory

MODEL = "ab" * 20
GPU, CPU = "one/cuda:0", "two/cpu:0"


class Device:
    """A worker with a subject of its own that answers as it is told."""

    def __init__(self, key: str, *models: str) -> None:
        self.key, self.models = key, models
        self.reply = InferReply(status="ok", output=b"\x01", milliseconds=1.0)
        self.sleep_seconds = 0.0
        self.asked = 0

    async def serve(self, bus: MemoryBus) -> None:
        await bus.serve(worker_subject(self.key), InferRequest, self._answer)
        await self.tell(bus)

    async def tell(self, bus: MemoryBus) -> None:
        status = WorkerStatus(device=self.key, models=self.models, limit=64, residency=EMPTY)
        await bus.publish(f"infer.worker.{self.key.partition('/')[0]}", status)

    async def _answer(self, _: InferRequest) -> InferReply:
        self.asked += 1
        await asyncio.sleep(self.sleep_seconds)
        return self.reply


class Farm:
    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.engine = BusEngine(4.0)
        self.gpu, self.cpu = Device(GPU, MODEL), Device(CPU)

    async def start(self) -> None:
        await self.engine.join(self.bus)
        for device in (self.gpu, self.cpu):
            await device.serve(self.bus)
        async with asyncio.timeout(5):
            while len(self.engine.board.statuses()) < 2:
                await asyncio.sleep(0.001)

    async def ask(self) -> Answer:
        return await asyncio.to_thread(self.engine.run, MODEL, b"\x00")


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    made = Farm()
    await made.start()
    yield made
    await made.bus.close()


def test_without_a_bus_there_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_engine, "FIRST_SECONDS", 0.01)
    with pytest.raises(EngineUnavailable, match="no INFER worker"):
        BusEngine(4.0).run(MODEL, b"\x00")


async def test_who_has_just_joined_waits_for_the_first_worker(farm: Farm) -> None:
    engine = BusEngine(4.0)
    await engine.join(farm.bus)
    asked = asyncio.create_task(asyncio.to_thread(engine.run, MODEL, b"\x00"))
    await asyncio.sleep(0.05)
    assert not asked.done()
    await farm.gpu.tell(farm.bus)
    assert (await asked).device == GPU


async def test_the_device_with_the_model_is_asked(farm: Farm) -> None:
    for _ in range(5):
        assert (await farm.ask()).device == GPU
    assert (farm.gpu.asked, farm.cpu.asked) == (5, 0)
    assert farm.engine.slots() == 2


async def test_another_is_asked_where_one_cannot(farm: Farm) -> None:
    farm.gpu.reply = InferReply(status="unavailable", detail="no room")
    assert (await farm.ask()).device == CPU
    farm.cpu.reply = farm.gpu.reply
    with pytest.raises(EngineUnavailable, match="no room"):
        await farm.ask()


async def test_a_hung_device_costs_a_part_of_the_time_and_then_rests(farm: Farm) -> None:
    farm.gpu.sleep_seconds = 60
    began = time.monotonic()
    assert (await farm.ask()).device == CPU
    assert time.monotonic() - began < 4.0
    began = time.monotonic()
    assert (await farm.ask()).device == CPU
    assert time.monotonic() - began < 1.0 and farm.gpu.asked == 1


async def test_a_device_that_is_gone_is_found_out(farm: Farm) -> None:
    for listener in list(farm.bus.listeners):
        if listener.pattern == worker_subject(GPU):
            await listener.stop()
    assert (await farm.ask()).device == CPU


async def test_all_full_or_gone_is_an_outage(farm: Farm) -> None:
    for key in (GPU, CPU):
        full = WorkerStatus(device=key, waiting=9, limit=9, residency=EMPTY)
        farm.engine.board.hear(full)
    with pytest.raises(EngineUnavailable, match="no INFER worker"):
        await farm.ask()
    await farm.bus.close()
    farm.engine.board.hear(WorkerStatus(device=GPU, limit=9, residency=EMPTY))
    with pytest.raises(EngineUnavailable, match="closed"):
        await farm.ask()


async def test_a_barred_device_is_neither_asked_nor_believed(farm: Farm) -> None:
    farm.engine.board.bar(GPU)
    assert (await farm.ask()).device == CPU
    farm.cpu.sleep_seconds = 0.2
    asked = asyncio.create_task(farm.ask())
    while farm.cpu.asked < 2:
        await asyncio.sleep(0.001)
    farm.engine.board.bar(CPU)
    with pytest.raises(EngineUnavailable, match="found wrong"):
        await asked
    with pytest.raises(EngineUnavailable, match="no INFER worker"):
        await farm.ask()
    assert (farm.gpu.asked, farm.cpu.asked) == (0, 2)


async def test_a_second_opinion_is_of_another_class(farm: Farm) -> None:
    other = await asyncio.to_thread(farm.engine.run_apart, MODEL, b"\x00", GPU)
    assert (other.device, farm.gpu.asked) == (CPU, 0)
    farm.engine.board.hear(WorkerStatus(device=CPU, is_leaving=True, residency=EMPTY))
    with pytest.raises(EngineUnavailable):
        await asyncio.to_thread(farm.engine.run_apart, MODEL, b"\x00", GPU)
    assert farm.gpu.asked == 0


async def test_a_fault_names_the_device_that_was_asked(farm: Farm) -> None:
    farm.gpu.reply = InferReply(status="logic_error", detail="bad input")
    with pytest.raises(ModelFault, match="bad input") as fault:
        await farm.ask()
    assert fault.value.device == GPU


async def test_what_another_process_found_wrong_is_barred_and_told(farm: Farm) -> None:
    wrong: list[str] = []
    farm.engine.on_wrong = wrong.append

    async def tell(subject: str, device: str, code: str) -> None:
        fault = FaultEvent(device=device, code=code, step="quarantine")
        event = RigEvent(id=f"{subject}{device}{code}", rig="one", at=0.0, body=fault)
        await farm.bus.publish(subject, event)

    await tell("event.one", "cuda:7", "gpu_hang")
    await tell("event.two", "cuda:7", INFER_MISMATCH)  # not of its own
    await tell("event.one", "cuda:0", INFER_MISMATCH)
    async with asyncio.timeout(5):
        while not wrong:
            await asyncio.sleep(0.001)
    assert wrong == [GPU] and farm.engine.board.is_barred(GPU)
    assert (await farm.ask()).device == CPU


@pytest.mark.parametrize("took", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_no_reply(took: float) -> None:
    """It would draw all requests to the device, or keep them from it for good."""
    with pytest.raises(ValidationError):
        InferReply(status="ok", output=b"", milliseconds=took)


async def test_a_rig_tells_only_of_its_own_devices(farm: Farm) -> None:
    forged = WorkerStatus(device=GPU, is_leaving=True, residency=EMPTY)
    await farm.bus.publish("infer.worker.two", forged)
    await farm.bus.publish("inventory.two", inventory("one", ("cuda:0", "cpu", "")))
    await asyncio.sleep(0.01)
    assert len(farm.engine.board.statuses()) == 2
    other = await asyncio.to_thread(farm.engine.run_apart, MODEL, b"\x00", GPU)
    assert other.device == CPU  # which would be of the same class


async def test_what_no_bus_carries_is_an_outage_of_no_device(farm: Farm) -> None:
    data = bytes(TENSOR_BYTES_LIMIT + 1)
    with pytest.raises(TooLarge, match="does not go over the bus"):
        await asyncio.to_thread(farm.engine.run, MODEL, data)
    right, farm.gpu.reply = farm.gpu.reply, InferReply(status="too_large", detail="too much")
    with pytest.raises(TooLarge, match="too much"):
        await farm.ask()
    farm.gpu.reply = right
    request = InferRequest(model=MODEL, input=data[1:], seconds=300.0)
    assert len(request.model_dump_json()) < MAX_PAYLOAD_BYTES
    assert (await farm.ask()).device == GPU and farm.gpu.asked == 2
