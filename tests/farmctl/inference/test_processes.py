"""Inference over real processes, bus and runners: whatever dies, hangs or lies, no outage is ever
answered as a result, and nothing wrong is passed on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.infer_service.farm import InferFarm
from benchmarks.infer_service.models import convolutional_net
from node.errors import EngineUnavailable
from node.inference import CrossCheckedEngine, Inference, ReferenceEngine
from node.spec.cvm import run
from tests.node.workshop import dense_model

SECONDS = 6.0


@pytest.fixture
async def farm(tmp_path: Path) -> AsyncIterator[InferFarm]:
    made = InferFarm(tmp_path, SECONDS)
    await made.start()
    yield made
    await made.stop()


class Asked:
    """A model, and what is right of it."""

    def __init__(self, farm: InferFarm, files: tuple[bytes, bytes]) -> None:
        self.infohash = farm.storage.put_model(*files)
        self.graph = farm.loader.load(self.infohash)
        self._engine = farm.engine
        self._random = np.random.default_rng(1)

    def input(self) -> bytes:
        size = self.graph.input_bytes
        return self._random.integers(-127, 128, size, dtype=np.int8).tobytes()

    async def ask(self, data: bytes) -> bytes:
        answer = await asyncio.to_thread(self._engine.run, self.infohash.hex(), data)
        return answer.output

    async def check(self) -> None:
        data = self.input()
        assert await self.ask(data) == run(self.graph, data)


async def test_a_worker_killed_amid_a_request_loses_none(farm: InferFarm) -> None:
    model = Asked(farm, convolutional_net(16, 16))
    first = await farm.add("one")
    await model.check()
    second = await farm.add("two")
    os.kill(first.worker_pid, signal.SIGSTOP)
    data = [model.input() for _ in range(6)]
    asked = [asyncio.create_task(model.ask(each)) for each in data]
    await farm.until(lambda: farm.engine.board._workers[first.key].asked.total() > 0)
    os.kill(first.worker_pid, signal.SIGKILL)
    answers = await asyncio.gather(*asked)
    assert answers == [run(model.graph, each) for each in data]
    await farm.present(first.key, is_there=False)
    await farm.present(first.key)  # its runner has opened the device again
    await asyncio.to_thread(second.kill)
    await farm.present(second.key, is_there=False)
    await model.check()


async def test_a_hung_runner_costs_time_and_no_answer(farm: InferFarm) -> None:
    model = Asked(farm, dense_model())
    first = await farm.add("one")
    await model.check()
    await farm.add("two")
    os.kill(first.pid, signal.SIGSTOP)
    began = time.monotonic()
    await model.check()
    assert time.monotonic() - began < SECONDS
    os.kill(first.pid, signal.SIGCONT)


async def test_without_workers_or_bus_there_is_no_result_and_then_there_is(
    farm: InferFarm,
) -> None:
    model = Asked(farm, dense_model())
    with pytest.raises(EngineUnavailable, match="no INFER worker"):
        await model.check()
    runner = await farm.add("one")
    await model.check()
    os.kill(runner.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(EngineUnavailable):
        await model.check()
    assert time.monotonic() - began < SECONDS + 2
    await asyncio.to_thread(runner.kill)
    await farm.present(runner.key, is_there=False)
    with pytest.raises(EngineUnavailable):
        await model.check()
    runner.start()
    await farm.present(runner.key)
    await model.check()
    farm.stop_bus()
    with pytest.raises(EngineUnavailable):
        await model.check()
    farm.start_bus()
    await farm.present(runner.key, is_there=False)
    await farm.present(runner.key)
    await model.check()


async def test_a_lying_class_is_found_out_and_its_results_taken_back(farm: InferFarm) -> None:
    reports: list[str] = []

    def report(model: str, device: str, what: str) -> None:
        reports.append(device)
        farm.engine.board.bar(device)
        inference.distrust(device)

    reference = ReferenceEngine(farm.loader)
    checked = CrossCheckedEngine(farm.engine, reference, 0.0, report, farm.engine, 1.0)
    inference = Inference(farm.loader, checked)
    model = Asked(farm, convolutional_net(8, 8))

    async def ask(data: bytes) -> bytes:
        return await asyncio.to_thread(inference.run, model.infohash, data, 0)

    def expect(data: bytes) -> bytes:
        result = np.frombuffer(run(model.graph, data), "<i4")
        return result.astype(">i4").tobytes()

    liar = await farm.add("two", "liar:0")
    early = model.input()
    assert await ask(early) != expect(early)  # alone, it is believed: nobody can tell
    await farm.add("one")
    data = model.input()
    assert await ask(data) == expect(data)
    assert set(reports) == {liar.key} and farm.engine.board.is_barred(liar.key)
    await farm.until(lambda: inference.counts().corrected == 1)
    assert await ask(early) == expect(early)
    for _ in range(5):
        data = model.input()
        assert await ask(data) == expect(data)
    assert checked.counts()[liar.key].mismatches >= 1
    await asyncio.to_thread(inference.close)
