"""A published test set run through the engine: accuracy, faults, and one at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from farmctl.evaluation import EvaluationDesk, EvaluationReply, EvaluationRequest
from node.errors import EngineUnavailable
from node.inference import Answer
from node.models.errors import MalformedModel
from node.models.evaluation import evaluate
from node.models.input_file import write_input
from node.models.metadata import describe_model
from node.models.notices import LabelledSet, encode_notice
from node.models.storage import Storage
from tests.node.conftest import clock
from tests.node.test_inference import Published
from tests.node.workshop import RICH, Clock, dense_model, mine

__all__ = ["clock"]

WEIGHTS = np.array([[1, 2, 3, 4, 5, 6], [-1, 1, -1, 1, -1, 1], [9, 0, 0, 0, 0, 1]])
ITEMS, WRONG = 40, 6


def store_set(storage: Storage, comment: str = "") -> LabelledSet:
    """Inputs and labels, of which some are wrong."""
    inputs = np.random.default_rng(1).integers(-100, 100, (ITEMS, 6)).astype(np.int8)
    labels = (inputs.astype(int) @ WEIGHTS.T).argmax(1).astype(np.int32)
    labels[:WRONG] = (labels[:WRONG] + 1) % 3
    kept = [storage.put_input(write_input(each)) for each in (inputs, labels)]
    return LabelledSet(kept[0], kept[1], comment)


@pytest.fixture
def made(tmp_path: Path, clock: Clock) -> Iterator[Published]:
    published = Published(tmp_path / "node", clock)
    published.store_files()
    meta = describe_model(*dense_model(), author=RICH)
    published.model = published.create(meta.encode())
    mine(published.node, clock, 2)
    published.send(published.model)
    mine(published.node, clock)
    yield published
    published.node.close()


async def until_ended(desk: EvaluationDesk, request: EvaluationRequest) -> EvaluationReply:
    async with asyncio.timeout(20):
        while (reply := await desk.answer(request)).state == "running":
            await asyncio.sleep(0.01)
    return reply


def say(made: Published, labelled: LabelledSet, clock: Clock) -> None:
    made.send(made.model, encode_notice(labelled))
    mine(made.node, clock)


async def test_a_set_on_the_chain_gives_the_accuracy(made: Published, clock: Clock) -> None:
    node = made.node
    say(made, store_set(node.loader.storage, "forty rows"), clock)
    desk = EvaluationDesk(node)
    request = EvaluationRequest(model="0x" + made.model.hex())
    done = await until_ended(desk, request)
    assert (done.state, done.items, done.done) == ("done", ITEMS, ITEMS)
    assert (done.right, done.comment) == (ITEMS - WRONG, "forty rows")
    runs = made.engine.runs
    assert runs >= ITEMS and (await desk.answer(request)) == done and made.engine.runs == runs
    await desk.answer(EvaluationRequest(model=request.model, again=True))
    assert (await until_ended(desk, request)).right == done.right and made.engine.runs == 2 * runs
    made.engine.on = False
    await desk.answer(EvaluationRequest(model=request.model, again=True))
    failed = await until_ended(desk, request)
    assert failed.state == "failed" and failed.detail
    await desk.stop()


async def test_what_cannot_be_evaluated_is_refused(made: Published) -> None:
    desk = EvaluationDesk(made.node)
    none = await desk.answer(EvaluationRequest(model="0x" + made.model.hex()))
    assert (none.state, none.detail) == ("refused", "its author has published 0 test sets")
    unknown = await desk.answer(EvaluationRequest(model="0x" + bytes(20).hex()))
    assert unknown.state == "refused" and "is no model" in unknown.detail
    await desk.stop()


async def test_one_runs_at_a_time_and_a_stop_ends_it(
    made: Published, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(made, store_set(made.node.loader.storage, "first"), clock)
    say(made, store_set(made.node.loader.storage, "second"), clock)
    gate = threading.Event()
    monkeypatch.setattr(made.node.inference, "engine", Gated(gate))
    desk = EvaluationDesk(made.node)
    first = EvaluationRequest(model="0x" + made.model.hex(), number=0)
    assert (await desk.answer(first)).state == "running"
    second = await desk.answer(EvaluationRequest(model=first.model, number=1))
    assert (second.state, second.detail) == ("refused", "another evaluation runs; wait")
    stopping = asyncio.create_task(desk.stop())
    await asyncio.sleep(0)
    gate.set()
    await stopping
    ended = await desk.answer(first)
    assert (ended.state, ended.detail) == ("failed", "the node stops")
    assert ended.done < ITEMS


class Gated:
    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def run(self, model: str, data: bytes) -> Answer:
        if not self._gate.wait(20):
            raise EngineUnavailable("the test does not go on")
        return Answer(np.zeros(3, "<i4").tobytes())


def test_a_set_that_does_not_fit_is_named(made: Published) -> None:
    node = made.node
    entry = node.index.find(made.model)
    assert entry is not None
    for inputs, labels, said in (
        (np.zeros((3, 5), np.int8), np.zeros(3, np.int32), "do not fit a model"),
        (np.zeros((3, 6), np.int8), np.zeros(4, np.int32), "do not fit a model"),
        (np.zeros((3, 6), np.int8), np.zeros((3, 1), np.int32), "do not fit a model"),
        (np.full((3, 6), 300, np.int32), np.zeros(3, np.int32), "larger than"),
    ):
        kept = [node.loader.storage.put_input(write_input(each)) for each in (inputs, labels)]
        labelled = LabelledSet(kept[0], kept[1])
        with pytest.raises(MalformedModel, match=said):
            evaluate(node.loader, node.inference.engine, entry.meta.hash, labelled)
