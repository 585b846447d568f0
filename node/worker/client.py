"""The node's end of the import process: starts it, starts it again, answers what it asks and has
the inferences computed that it misses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from typing import cast

from node.errors import ImportLost, NodeError
from node.importing import HeadChange, Imported, Outcome, compare_heads
from node.inference import Inference
from node.spec.types import Block
from node.spec.vm.context import InferLogicError, InferRuntimeError, KernelFault
from node.store import ChainStore
from node.worker.child import Child
from node.worker.messages import (
    Answer,
    Ask,
    Key,
    Question,
    Report,
    Results,
    Setup,
    Task,
    Topic,
)

PROCESS = "node.worker.process"
START_SECONDS = 60.0
#: For one task. A block of 160 million gas in pairings may take minutes.
TASK_SECONDS = 3600.0
#: Of blocks that come together, so much goes in one task.
TASK_BLOCKS = 256
TASK_BYTES = 4 * 1024 * 1024
ATTEMPTS = 3
BACKOFF_SECONDS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
#: They only wait: the scheduler has the bounds.
INFER_THREADS = 32

log = logging.getLogger(__name__)


class ImportWorker:
    """`Importer` in a process of its own, with the same methods, for several threads at once.

    Tasks go in one by one in the order they came, and the blocks of a peer in small ones, so that
    a block found here waits for at most one. ``on_head`` is called after each change of the head.
    """

    def __init__(
        self,
        setup: Setup,
        store: ChainStore,
        inference: Inference,
        clock: Callable[[], float],
        on_head: Callable[[HeadChange], None],
    ) -> None:
        self._setup = setup
        self._store = store
        self._head = store.head_header()
        """The last that ``on_head`` was told of."""
        self._inference = inference
        self._clock = clock
        self._on_head = on_head
        self._tasks = ThreadPoolExecutor(1, "import")
        self._engines = ThreadPoolExecutor(INFER_THREADS, "infer")
        self._child: Child | None = None
        self._deaths = 0
        """Since the last task that was done."""
        self._closing = threading.Event()
        self._stalled = 0
        self._retracted = 0
        """Results that had been taken back when the process was told last."""
        self._tasks.submit(self._start)

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        child = self._child
        return child.pid if child else None

    @property
    def stalled(self) -> int:
        """Blocks that wait for inference."""
        return self._stalled

    def add(self, block: Block) -> Outcome:
        """Take a block in. Raises `InvalidBlock`, `InferRuntimeError` or `StoreError`; the chain
        is then as it was."""
        done = self.add_all([block])
        if done.failure is not None:
            raise done.failure
        return done.outcomes[0]

    def add_all(self, blocks: Sequence[Block]) -> Imported:
        """Take blocks in, each after the one before, up to the first that cannot be. Raises
        `StoreError`."""
        outcomes: list[Outcome] = []
        for chunk in _split([block.encode() for block in blocks]):
            done = self._add_chunk(chunk)
            outcomes += done.outcomes
            if done.failure is not None:
                return Imported(tuple(outcomes), done.failure)
        return Imported(tuple(outcomes))

    def retry(self) -> int:
        """Try the blocks whose time has come and those that waited for inference; return how
        many are in now."""
        retried, gathered = 0, _Gathered(self._inference)
        while True:
            report = self._do(Task(self._clock(), results=gathered.results()))
            retried += report.retried
            if not report.missing:
                return retried
            try:
                gathered.add(self._compute(report.missing))
            except InferRuntimeError:
                return retried

    def close(self) -> None:
        """After the task that is going on."""
        self._closing.set()
        self._engines.shutdown(cancel_futures=True)
        self._tasks.shutdown(cancel_futures=True)
        self._end()

    def _add_chunk(self, blocks: list[bytes]) -> Imported:
        outcomes: list[Outcome] = []
        gathered = _Gathered(self._inference)
        while len(outcomes) < len(blocks):
            left = tuple(blocks[len(outcomes) :])
            report = self._do(Task(self._clock(), left, gathered.results()))
            outcomes += report.outcomes
            if report.failure is not None:
                if not report.missing:
                    return Imported(tuple(outcomes), report.failure)
                try:
                    gathered.add(self._compute(report.missing))
                except InferRuntimeError as error:
                    return Imported(tuple(outcomes), error)
        return Imported(tuple(outcomes))

    def _compute(self, questions: Sequence[Question]) -> Results:
        """Have inferences computed. Raises `InferRuntimeError` where one cannot be now."""
        asked = [self._engines.submit(self._run, question) for question in questions]
        try:
            return {q.key: f.result() for q, f in zip(questions, asked, strict=True)}
        finally:
            for future in asked:
                future.cancel()

    def _run(self, question: Question) -> bytes | KernelFault:
        try:
            return self._inference.run(question.model, question.data, question.raw_size)
        except KernelFault as fault:
            return fault

    def _do(self, task: Task) -> Report:
        try:
            asked = self._tasks.submit(self._insist, task)
        except RuntimeError as error:  # after `close`
            raise ImportLost("the node is closing") from error
        try:
            return asked.result()
        except CancelledError as error:
            raise ImportLost("the node is closing") from error

    # In the one thread of tasks

    def _insist(self, task: Task) -> Report:
        """Do a task, again where the process died of it."""
        for _ in range(ATTEMPTS):
            try:
                child = self._start()
                report = self._converse(child, self._add_known(task), TASK_SECONDS)
            except (EOFError, OSError) as error:
                self._bury(error)
                continue
            self._deaths = 0
            self._stalled = report.stalled
            self._follow()
            return report
        raise ImportLost(f"the import process died {ATTEMPTS} times of one task; see the log")

    def _add_known(self, task: Task) -> Task:
        """With what the process has to know of kept results. Those that stay in spite of others
        taken back are not told again: a block that misses them has them asked for."""
        retracted = self._inference.retracted
        known = self._inference.take_fresh()
        told = replace(task, forgets=retracted != self._retracted, known=known)
        self._retracted = retracted
        return told

    def _follow(self) -> None:
        """The store alone says what has changed, so that no death of the process hides it."""
        before, self._head = self._head, self._store.head_header()
        if self._head != before:
            self._on_head(compare_heads(self._store, self._head, before))

    def _start(self) -> Child:
        if self._child is None:
            wait = BACKOFF_SECONDS[min(self._deaths, len(BACKOFF_SECONDS) - 1)]
            if self._closing.wait(wait):
                raise ImportLost("the node is closing")
            self._child = Child(PROCESS)
            self._inference.refresh()
            try:
                self._converse(self._child, self._setup, START_SECONDS)
            except NodeError:
                self._end()
                raise
        return self._child

    def _converse(self, child: Child, message: Setup | Task, seconds: float) -> Report:
        """Raises what the process answers with, or `EOFError` or `OSError` where it is gone."""
        child.channel.send(message)
        deadline = time.monotonic() + seconds
        while child.channel.poll(max(0.0, deadline - time.monotonic())):
            said = child.channel.recv()
            if isinstance(said, Ask):
                child.channel.send(Answer(self._answer(said)))
            elif isinstance(said, NodeError):
                raise said
            else:
                return cast(Report, said)
        raise TimeoutError(f"no answer within {seconds:g} s")

    def _answer(self, ask: Ask) -> object:
        try:
            if ask.topic is Topic.OPERATIONS:
                return self._inference.operations(ask.infohash, ask.raw_size)
            return self._inference.input_data(ask.infohash, ask.raw_size)
        except (InferLogicError, InferRuntimeError) as error:
            return error

    def _bury(self, error: Exception) -> None:
        self._deaths += 1
        status = self._end()
        log.warning(
            "the import process ended (status %s: %s); it is started again",
            *(status, error or type(error).__name__),
            extra={"action": "import_lost"},
        )

    def _end(self) -> int | None:
        child, self._child = self._child, None
        return child.end() if child else None


class _Gathered:
    """Results for the tasks of one call. Where any is taken back meanwhile, all are asked for
    again: the kept ones cost nothing."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._retracted = inference.retracted
        self._results: dict[Key, bytes | KernelFault] = {}

    def add(self, results: Results) -> None:
        self._results |= results

    def results(self) -> Results:
        retracted = self._inference.retracted
        if retracted != self._retracted:
            self._retracted, self._results = retracted, {}
        return dict(self._results)


def _split(blocks: list[bytes]) -> Iterator[list[bytes]]:
    """In chunks for one task each; a block larger than those goes alone."""
    chunk: list[bytes] = []
    size = 0
    for block in blocks:
        if chunk and (len(chunk) == TASK_BLOCKS or size + len(block) > TASK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(block)
        size += len(block)
    if chunk:
        yield chunk
