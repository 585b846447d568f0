"""Inferences of the import process: missed, computed by the node, taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import pytest

from node.errors import EngineUnavailable
from node.inference import Answer, Inference, ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.crypto import keccak
from node.spec.vm import InferRuntimeError
from node.worker import client
from node.worker.client import ImportWorker
from node.worker.messages import Question, Results, Task
from node.worker.process import AskedInference
from tests.node.test_inference import Published
from tests.node.worker.test_import_worker import blocks_of, worker
from tests.node.workshop import (
    OTHER_MINER,
    Clock,
    dense_model,
    mine,
    open_node,
    sign,
)

SLOT = 5
ARRAY_GAS = 1_200_000


class CountingEngine(ReferenceEngine):
    """The reference, which can be away, and knows how many ran at once."""

    def __init__(self, loader: GraphLoader) -> None:
        super().__init__(loader)
        self.on = True
        self.awaited = 0
        """No run ends before so many were under way at once."""
        self.runs = self.together = self._running = 0
        self._lock = threading.Lock()

    def run(self, model: str, data: bytes) -> Answer:
        if not self.on:
            raise EngineUnavailable("no INFER worker")
        with self._lock:
            self.runs += 1
            self._running += 1
            self.together = max(self.together, self._running)
        deadline = time.monotonic() + 10
        while self.together < self.awaited and time.monotonic() < deadline:
            time.sleep(0.001)
        answer = super().run(model, data)
        with self._lock:
            self._running -= 1
        return answer


def array_contract(model: bytes) -> bytes:
    """Creation code of a contract that runs INFERARRAY on its call's first word."""
    where = keccak(SLOT.to_bytes(32, "big"))
    runtime = (
        bytes.fromhex("60016000526000602052")  # a uint256[] of one word at 0
        + bytes([0x60, 1, 0x60, SLOT, 0x55])  # the input has one word,
        + bytes.fromhex("6000357f")
        + where
        + b"\x55"  # the call's
        + bytes([0x60, 0, 0x60, SLOT, 0x73])
        + model
        + bytes.fromhex("c1600155602051600055")  # INFERARRAY; slots: status, word
        + b"\x00"
    )
    return bytes([0x60, len(runtime), 0x60, 12, 0x60, 0, 0x39, 0x60, len(runtime)]) + (
        bytes.fromhex("6000f3") + runtime
    )


class Inferred:
    """A chain whose last block holds three different inferences, two of one sender."""

    def __init__(self, tmp_path: Path, clock: Clock) -> None:
        self.source = Published(tmp_path / "source", clock)
        self.source.publish()
        self.contract = self.source.create(array_contract(self.source.model))
        mine(self.source.node, clock)
        for word in (1, 2, 3):
            self.source.send(self.contract, bytes([word]).ljust(32, b"\0"), ARRAY_GAS)
        mine(self.source.node, clock)
        self.blocks = blocks_of(self.source.node)
        self.engines: list[CountingEngine] = []
        self.node = open_node(tmp_path / "apart", clock, OTHER_MINER, self._engine, apart=True)
        self.model = self.node.loader.storage.put_model(*dense_model())

    def _engine(self, loader: GraphLoader) -> CountingEngine:
        self.engines.append(CountingEngine(loader))
        return self.engines[-1]

    @property
    def engine(self) -> CountingEngine:
        return self.engines[-1]


@pytest.fixture
def inferred(tmp_path: Path, clock: Clock) -> Iterator[Inferred]:
    made = Inferred(tmp_path, clock)
    yield made
    made.node.close()
    made.source.node.close()


def test_missing_inferences_are_found_in_one_go_and_computed_at_once(inferred: Inferred) -> None:
    inferred.engine.awaited = 3
    done = inferred.node.import_blocks(inferred.blocks)
    assert (done.failure, len(done.outcomes)) == (None, len(inferred.blocks))
    assert inferred.node.head() == inferred.source.node.head()
    assert (inferred.engine.runs, inferred.engine.together) == (3, 3)
    assert inferred.node.store.count_calls(inferred.model) == 3


def test_what_the_template_had_computed_serves_the_import(
    inferred: Inferred, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, source = inferred.node, inferred.source
    node.import_blocks(inferred.blocks)
    computed: list[int] = []
    compute = ImportWorker._compute

    def count(self: ImportWorker, questions: Sequence[Question]) -> Results:
        computed.append(len(questions))
        return compute(self, questions)

    monkeypatch.setattr(ImportWorker, "_compute", count)
    runs = inferred.engine.runs
    node.send(sign(source.nonce, inferred.contract, data=b"\x09" * 32, gas=ARRAY_GAS))
    assert len(mine(node, clock).transactions) == 1
    assert (inferred.engine.runs, computed) == (runs + 1, [])


def test_gathered_results_end_where_a_device_was_found_wrong(tmp_path: Path) -> None:
    loader = GraphLoader(DirectoryStorage(tmp_path))
    model, data = loader.storage.put_model(*dense_model()), bytes(range(6))
    inference = Inference(loader, ReferenceEngine(loader))
    gathered, key = client._Gathered(inference), (model, keccak(data))
    found: Results = {key: inference.run(model, data, 0)}
    gathered.add(found)
    assert gathered.results() == found
    inference.distrust("reference")
    assert gathered.results() == {}
    gathered.add({key: inference.run(model, data, 0)})
    assert gathered.results() == found
    inference.close()


def test_the_process_believes_no_result_that_was_taken_back(inferred: Inferred) -> None:
    inference, data = inferred.node.inference, bytes(range(6))
    result = inference.run(inferred.model, data, 0)
    importer = worker(inferred.node)
    importer.retry()  # the process has begun, and what it was told is of no use here
    inference.refresh()
    told, nothing = importer._add_known(Task(0.0)), importer._add_known(Task(0.0))
    inference.distrust("reference")
    void = importer._add_known(Task(0.0))
    ours, _ = Pipe()
    asked = AskedInference(ours)
    for task in (told, nothing):
        asked.begin(task)
        assert asked.run(inferred.model, data, 0) == result
    asked.begin(replace(void, known={}))
    with pytest.raises(InferRuntimeError, match="no result yet"):
        asked.run(inferred.model, data, 0)
    assert not importer._add_known(Task(0.0)).forgets


def test_a_block_waits_while_no_engine_answers_and_is_in_when_one_does(
    inferred: Inferred,
) -> None:
    node = inferred.node
    inferred.engine.on = False
    done = node.import_blocks(inferred.blocks)
    assert len(done.outcomes) == len(inferred.blocks) - 1
    assert isinstance(done.failure, InferRuntimeError)
    assert node.status().blocked == "1 blocks wait for inference"
    assert node.importer.retry() == 0
    inferred.engine.on = True
    assert node.importer.retry() == 1
    assert node.head() == inferred.source.node.head()
    assert node.status().blocked == ""
