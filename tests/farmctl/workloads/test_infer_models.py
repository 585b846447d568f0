"""Models of a runner's INFER: fetched and verified, brought onto the device, making way."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil

import pytest

from drivers.errors import OutOfMemory
from drivers.program import Program
from drivers.worker import WorkerSession
from farmctl.agent.models import ModelFiles
from farmctl.memory_bus import MemoryBus
from farmctl.messages import (
    ModelReply,
    ModelRequest,
)
from farmctl.workloads.base import Place
from node.models.eviction import Policy
from node.spec.cvm import load, run
from tests.farmctl.workloads.infer_bench import (
    BAD_MODEL,
    MODEL,
    PARAMS,
    SYMBOL,
    ModelServer,
    add_copy,
    ask,
    serving,
)


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
