"""A stick in a whole agent: it proves itself, answers the node's requests, and is unplugged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from farmctl import nats_bus
from farmctl.bus_engine import BusEngine
from farmctl.config import Config
from farmctl.domain import Priority, Workload
from farmctl.messages import (
    AssignmentMessage,
    InventoryReport,
    ModelReply,
    ModelRequest,
    RigPlan,
)
from node.errors import EngineUnavailable
from node.models.torrent import describe_folder
from node.spec.cvm import load, run
from tests.farmctl.agent.test_loop import AgentProcess
from tests.farmctl.conftest import BusServer
from tests.farmctl.rig_bench import until
from tests.node.workshop import dense_model
from tests.support.sticks import build, plugged

SYMBOL, PARAMS = dense_model()
FILES = {"symbol": SYMBOL, "params": PARAMS}
MODEL = describe_folder(FILES).infohash.hex()
STICK, CPU = "usbstick:0", "cpu:0"
SECONDS = 60.0


class Farm:
    """What a controller and a node would be to this rig."""

    def __init__(self, bus: nats_bus.NatsBus) -> None:
        self.bus = bus
        self.engine = BusEngine(SECONDS)
        self.inventory: list[InventoryReport] = []

    async def serve(self) -> None:
        await self.bus.subscribe("inventory.*", InventoryReport, self._note)
        await self.bus.serve("node.model", ModelRequest, self._give)
        await self.engine.join(self.bus)

    async def plan(self, number: int) -> None:
        """The stick infers, the CPU rests with the reserve."""
        common = {"reason": "test", "priority": Priority.INFER_RESERVE}
        wanted = (
            AssignmentMessage(device=STICK, workload=Workload.INFER, **common),
            AssignmentMessage(device=CPU, workload=Workload.IDLE, infer_reserve=True, **common),
        )
        plan = RigPlan(rig="rig-a", number=number, created=time.time(), assignments=wanted)
        await self.bus.put("plans", "rig-a", plan)

    def has_proved(self, device: str) -> bool:
        found = [d for d in self.inventory[-1].devices if d.id == device] if self.inventory else []
        tests = found[0].self_tests if found else ()
        return any(t.capability == "infer" and t.passed for t in tests)

    async def ask(self, seed: int) -> str:
        """One request of the node's, held to the reference; the device that answered."""
        graph = load(SYMBOL, PARAMS)
        generator = np.random.default_rng(seed)
        data = generator.integers(-128, 128, graph.input_bytes, dtype=np.int8).tobytes()
        answer = await asyncio.to_thread(self.engine.run, MODEL, data)
        assert answer.output == run(graph, data)
        return answer.device

    async def answers_of(self, device: str) -> None:
        """Ask until a device has answered; before any worker is up, nobody does."""
        async with asyncio.timeout(SECONDS):
            while True:
                with contextlib.suppress(EngineUnavailable):
                    if device in await self.ask(0):
                        return
                await asyncio.sleep(0.01)

    async def _note(self, _subject: str, report: InventoryReport) -> None:
        self.inventory.append(report)

    async def _give(self, request: ModelRequest) -> ModelReply:
        content = FILES[request.file]
        return ModelReply(found=True, total_bytes=len(content), chunk=content[request.offset :])


@pytest.fixture
async def farm(config: Config, bus_process: BusServer) -> AsyncIterator[Farm]:
    bus = await nats_bus.connect(config.bus_url, config.bus_seed, "test")
    made = Farm(bus)
    await made.serve()
    yield made
    await bus.close()


@pytest.mark.slow
async def test_a_stick_unplugged_amid_requests_loses_none(
    farm: Farm, config: Config, tmp_path: Path
) -> None:
    """Its port is a link that stays where it is, as udev's are; what it leads to is plugged."""
    program = await asyncio.to_thread(build, "host", tmp_path)
    port = tmp_path / "ttySTICK"
    agent = AgentProcess(config, tmp_path / "agent.log", {"FARMCTL_STICK_PORTS": str(port)})
    try:
        with plugged(program) as stick:
            os.symlink(stick.port, port)
            await agent.start()
            await until(lambda: farm.has_proved(STICK) and farm.has_proved(CPU), SECONDS)
            await farm.plan(1)
            await farm.answers_of(STICK)
            await farm.answers_of(CPU)
            asking = [asyncio.create_task(farm.ask(seed)) for seed in range(60)]
            await until(lambda: any(task.done() for task in asking), SECONDS)
            stick.unplug()
            port.unlink()
            answered = await asyncio.gather(*asking)
        assert any(CPU in device for device in answered)
        for seed in range(5):
            assert CPU in await farm.ask(seed)
    finally:
        await agent.stop()
