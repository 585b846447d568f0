"""The import process: executes blocks and writes the chain. It knows no farm and no network;
what it has to know of models it asks of the node, and it never computes an inference."""

from __future__ import annotations

import logging
import sys
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import cast

from node.errors import ImportLost, NodeError
from node.execution import Executor
from node.importing import HeadChange, Importer, Outcome
from node.models.cache import Cache
from node.models.index import ModelIndex
from node.overlay import Overlay
from node.spec.crypto import keccak
from node.spec.errors import InvalidBlock
from node.spec.state import State
from node.spec.types import Block, Header
from node.spec.vm.context import InferRuntimeError, KernelFault
from node.store import ChainStore
from node.worker.child import join_owner
from node.worker.messages import Answer, Ask, Key, Question, Report, Results, Setup, Task, Topic

#: A task is cut short here, so that other writers get their turn.
BATCH_SECONDS = 0.25
MODELS = 1024
INPUT_BYTES = 64 * 1024 * 1024
RESULT_BYTES = 64 * 1024 * 1024
MAX_MISSING = 256
MAX_MISSING_BYTES = 32 * 1024 * 1024

log = logging.getLogger(__name__)


class AskedInference:
    """`Infer` of the machine by what the node has told and by questions to it; notes what has no
    result yet."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._operations: OrderedDict[bytes, int] = OrderedDict()
        self._inputs: Cache[bytes] = Cache(INPUT_BYTES)
        self._known: Cache[bytes] = Cache(RESULT_BYTES)
        self._results: Results = {}
        self.missing: dict[Key, Question] = {}
        self._missing_bytes = 0

    def begin(self, task: Task) -> None:
        if task.forgets:
            self._known = Cache(RESULT_BYTES)
        for (model, data_hash), result in task.known.items():
            self._known.put(model + data_hash, result, len(result))
        self._results = task.results
        self.missing = {}
        self._missing_bytes = 0

    def operations(self, model: bytes, raw_size: int) -> int:
        known = self._operations.get(model)
        if known is None:
            known = cast(int, self._ask(Topic.OPERATIONS, model, raw_size))
            self._operations[model] = known
            if len(self._operations) > MODELS:
                self._operations.popitem(last=False)
        return known

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        return self._inputs.find(infohash, lambda: self._load(infohash, raw_size))

    def _load(self, infohash: bytes, raw_size: int) -> tuple[bytes, int]:
        content = cast(bytes, self._ask(Topic.INPUT, infohash, raw_size))
        return content, len(content)

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        key = model, keccak(data)
        found = self._results.get(key)
        if isinstance(found, KernelFault):
            raise found
        found = self._known.get(b"".join(key)) if found is None else found
        if found is None:
            self._note(key, Question(model, data, raw_size))
            raise InferRuntimeError(f"no result yet of model {model.hex()}")
        return found

    def _note(self, key: Key, question: Question) -> None:
        if len(self.missing) < MAX_MISSING and self._missing_bytes < MAX_MISSING_BYTES:
            self.missing[key] = question
            self._missing_bytes += len(question.data)

    def _ask(self, topic: Topic, infohash: bytes, raw_size: int) -> object:
        self._channel.send(Ask(topic, infohash, raw_size))
        value = cast(Answer, self._channel.recv()).value
        if isinstance(value, Exception):
            raise value
        return value


class ImportProcess:
    def __init__(self, channel: Connection, setup: Setup) -> None:
        self._now = 0.0
        self._infer = AskedInference(channel)
        self._store = ChainStore(setup.store)
        self._index = ModelIndex(setup.chain, self._state_at, self._store.meta_addresses)
        self._index.build(self._store.head_header())
        self._executor = Executor(
            setup.chain,
            self._store,
            self._infer,
            setup.verify_cycle,
            setup.interpret,
            self._index,
        )
        self._importer = Importer(
            setup.chain, self._store, self._executor, lambda: self._now, self._follow
        )

    def do(self, task: Task) -> Report:
        """Raises `StoreError`; then nothing of the task is on the disk."""
        self._now = task.now
        self._infer.begin(task)
        return self._import(task) if task.blocks else self._retry()

    def _state_at(self, header: Header) -> State:
        return State(Overlay(self._store), header.state_root)

    def _follow(self, change: HeadChange) -> None:
        self._index.follow(self._store.head_header(), change.adopted, change.abandoned)

    def _retry(self) -> Report:
        retried = self._importer.retry()
        missing = tuple(self._infer.missing.values())
        return Report(missing=missing, retried=retried, stalled=self._importer.stalled)

    def _import(self, task: Task) -> Report:
        # A single block is no batch, so that the store is not held while it is executed.
        several = len(task.blocks) > 1
        report = self._store.batch(lambda: self._add(task)) if several else self._add(task)
        if isinstance(report.failure, InferRuntimeError):
            self._executor.explore(map(Block.decode, task.blocks[len(report.outcomes) :]))
            report = replace(report, missing=tuple(self._infer.missing.values()))
        return report

    def _add(self, task: Task) -> Report:
        outcomes: list[Outcome] = []
        failure: InvalidBlock | InferRuntimeError | None = None
        deadline = time.monotonic() + BATCH_SECONDS
        for block in map(Block.decode, task.blocks):
            try:
                outcomes.append(self._importer.add(block))
            except (InvalidBlock, InferRuntimeError) as error:
                failure = error
            if failure or time.monotonic() > deadline:
                break
        return Report(tuple(outcomes), failure, stalled=self._importer.stalled)


def serve(channel: Connection) -> None:
    """Until the owner hangs up."""
    try:
        process = ImportProcess(channel, channel.recv())
    except NodeError as error:
        channel.send(error)
        return
    channel.send(Report())
    while True:
        task = channel.recv()
        try:
            said: Report | NodeError = process.do(task)
        except NodeError as error:
            said = error
        except (EOFError, ConnectionError):
            raise
        except Exception as error:  # the top of the loop: the next task may do
            log.exception("a task failed", extra={"action": "import_failed"})
            said = ImportLost(f"the import process failed: {error!r}; see the log")
        channel.send(said)


if __name__ == "__main__":
    logging.basicConfig()
    with suppress(EOFError, ConnectionError):  # the owner is gone
        serve(join_owner(sys.argv[1:]))
