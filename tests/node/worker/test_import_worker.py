"""The import process: the same chain as without it, whatever happens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import pytest

from node.core import Node
from node.errors import EngineUnavailable, ImportLost
from node.importing import Outcome
from node.inference import Answer, Inference, ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.crypto import keccak
from node.spec.errors import InvalidBlock, Reason
from node.spec.types import Block
from node.spec.vm import InferRuntimeError
from node.worker import client
from node.worker.client import ImportWorker
from node.worker.messages import Question, Results, Task
from node.worker.process import AskedInference
from tests.node.test_inference import Published
from tests.node.workshop import (
    MINER,
    OTHER_MINER,
    POOR,
    Clock,
    dense_model,
    mine,
    open_node,
    sign,
    solve,
)

SLOT = 5
ARRAY_GAS = 1_200_000


@pytest.fixture
def apart(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    opened = open_node(tmp_path / "apart", clock, apart=True)
    yield opened
    opened.close()


def worker(node: Node) -> ImportWorker:
    assert isinstance(node.importer, ImportWorker)
    return node.importer


def wait_for_pid(node: Node) -> int:
    deadline = time.monotonic() + 30
    while (pid := worker(node).pid) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return pid


def blocks_of(node: Node) -> list[Block]:
    """From the first after genesis to the head."""
    found = []
    for number in range(1, node.head().number + 1):
        block = node.store.block(node.store.canonical_hash(number) or b"")
        assert block is not None
        found.append(block)
    return found


def test_the_chain_is_the_same(node: Node, apart: Node, clock: Clock) -> None:
    for nonce in range(6):
        node.send(sign(nonce, value=1))
        mine(node, clock)
    blocks = blocks_of(node)
    assert apart.import_block(blocks[0]) is Outcome.HEAD
    done = apart.import_blocks(blocks)
    assert done.outcomes == (Outcome.KNOWN,) + (Outcome.HEAD,) * 5
    assert apart.head() == node.head()
    assert apart.state_at(apart.head()).get_balance(POOR) == 6
    assert worker(apart).pid != os.getpid()


def test_the_mempool_follows_a_reorganisation(node: Node, apart: Node, clock: Clock) -> None:
    kept, back = sign(0, value=1), sign(1, value=2)
    for transaction in (kept, back):
        apart.send(transaction)
    mine(apart, clock)
    assert len(apart.mempool) == 0
    node.send(kept)
    mine(node, clock, 2)
    heard: list[None] = []
    apart.on_change(lambda: heard.append(None))
    assert apart.import_blocks(blocks_of(node)).outcomes[-1] is Outcome.HEAD
    assert apart.head() == node.head()
    assert back.hash() in apart.mempool and kept.hash() not in apart.mempool
    assert heard


def test_a_wrong_block_stops_those_after_it(node: Node, apart: Node, clock: Clock) -> None:
    mine(node, clock, 4)
    blocks = blocks_of(node)
    wrong = Block(solve(replace(blocks[2].header, state_root=bytes(32))))
    done = apart.import_blocks([*blocks[:2], wrong, blocks[3]])
    assert done.outcomes == (Outcome.HEAD, Outcome.HEAD)
    assert isinstance(done.failure, InvalidBlock)
    assert done.failure.reason is Reason.BAD_STATE_ROOT
    assert apart.head() == blocks[1].header
    with pytest.raises(InvalidBlock):
        apart.import_block(wrong)
    assert apart.import_blocks(blocks).failure is None


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


def test_a_killed_process_is_started_again_and_nothing_is_lost(
    node: Node, apart: Node, clock: Clock
) -> None:
    mine(node, clock, 40)
    blocks, pids = blocks_of(node), set[int]()
    for first in range(0, 40, 10):
        pid = wait_for_pid(apart)
        pids.add(pid)
        os.kill(pid, signal.SIGKILL)
        assert set(apart.import_blocks(blocks[first : first + 10]).outcomes) <= {
            Outcome.HEAD,
            Outcome.KNOWN,
        }
    assert len(pids) == 4
    assert apart.head() == node.head()


def test_a_process_that_hangs_is_ended(
    node: Node, apart: Node, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = mine(node, clock)
    apart.importer.retry()
    hung = wait_for_pid(apart)
    os.kill(hung, signal.SIGSTOP)
    monkeypatch.setattr(client, "TASK_SECONDS", 1.5)
    assert apart.import_block(block) is Outcome.HEAD
    assert worker(apart).pid != hung


def kill_on_sight(*_: object) -> bool:
    """A verifier under which the process dies."""
    os.kill(os.getpid(), signal.SIGKILL)
    return True


def test_a_block_that_kills_the_process_is_no_invalid_block(
    tmp_path: Path, node: Node, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF_SECONDS", (0.0,))
    block = mine(node, clock)
    loader = node.loader
    other = Node(
        node.chain,
        tmp_path / "x",
        loader,
        ReferenceEngine(loader),
        MINER,
        kill_on_sight,
        apart=True,
    )
    with pytest.raises(ImportLost, match="died 3 times"):
        other.import_block(block)
    assert other.head().number == 0
    other.close()


OWNER = """
import sys, time
from pathlib import Path
from tests.node.worker.test_import_worker import wait_for_pid
from tests.node.workshop import Clock, open_node
print(wait_for_pid(open_node(Path(sys.argv[1]), Clock(), apart=True)), flush=True)
time.sleep(60)
"""


def test_the_process_ends_with_its_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
