"""`Infer` of the machine: finds the model, converts a contract's bytes to the kernel's and back,
keeps results, and asks the scheduler for those that are not known."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from node.errors import EngineUnavailable, ModelFault
from node.inference.engine import Answer, InferEngine
from node.inference.results import CACHE_BYTES, Key, Results, Unchecked
from node.inference.scheduler import Scheduler, SchedulerCounts, Urgency
from node.models.cache import CacheCounts
from node.models.errors import MalformedModel, StorageError
from node.models.input_file import read_input
from node.models.loading import GraphLoader
from node.models.storage import DATA
from node.spec.crypto import keccak
from node.spec.cvm import Graph, words
from node.spec.cvm.errors import CvmRunError
from node.spec.vm.context import Infer, InferLogicError, InferRuntimeError, KernelFault

#: Computed inferences that can be looked at.
RECENT = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Computed:
    """An inference that this node has had computed, for people."""

    time: float
    model: str
    """Infohash, hex."""
    input_hash: str
    """Keccak-256 of the contract's input bytes, hex."""
    device: str
    milliseconds: float
    """Until the engine had answered, the check included."""
    checked: bool


@dataclass(frozen=True)
class InferenceCounts:
    """What the node knows of its inferences since its start."""

    results: CacheCounts
    scheduler: SchedulerCounts
    retracted: int
    """Results taken back because the device that gave them was found wrong."""
    corrected: int
    """Of those, results that were another when computed again."""


class Inference:
    """`Infer` over a storage and an engine, for blocks. Safe for several threads."""

    def __init__(
        self, loader: GraphLoader, engine: InferEngine, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._loader = loader
        self._scheduler = Scheduler(engine)
        self.engine: InferEngine = self._scheduler
        """For what asks in the kernel's form, behind everything else."""
        self._results = Results(cache_bytes)
        self._lock = threading.Lock()
        self._recent: deque[Computed] = deque(maxlen=RECENT)
        self._corrected = 0

    def at(self, urgency: Urgency) -> Infer:
        """The same for another who asks."""
        return _Urgent(self, urgency)

    def close(self) -> None:
        """Who still waits is told that there is no engine."""
        self._scheduler.close()

    def recent(self, model: str) -> list[Computed]:
        """The newest inferences of a model (infohash, hex) that were computed for this node
        since its start, oldest first. What was known from before is not computed again."""
        with self._lock:
            return [each for each in self._recent if each.model == model]

    def counts(self) -> InferenceCounts:
        return InferenceCounts(
            self._results.counts(),
            self._scheduler.counts(),
            self._results.retracted,
            self._corrected,
        )

    def operations(self, model: bytes, raw_size: int) -> int:
        try:
            return self._loader.count_operations(model)
        except EngineUnavailable as error:
            raise InferRuntimeError(str(error)) from error
        except ModelFault as error:
            raise (InferLogicError if error.logic else KernelFault)(str(error)) from error

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        try:
            return read_input(self._loader.storage.read(infohash, DATA))
        except MalformedModel as error:
            raise InferLogicError(f"input {infohash.hex()}: {error}") from error
        except StorageError as error:
            raise InferRuntimeError(f"input {infohash.hex()}: {error}") from error

    def run(
        self,
        model: bytes,
        data: bytes,
        raw_size: int,
        urgency: Urgency = Urgency.BLOCK,
        seconds: float | None = None,
    ) -> bytes:
        """The result of a contract's input, within so many seconds."""
        key = (model, keccak(data))
        known = self._results.find(key)
        if known is not None:
            return known
        try:
            return self._compute(model, data, key, urgency, seconds)
        except EngineUnavailable as error:
            raise InferRuntimeError(str(error)) from error
        except ModelFault as error:
            # The network's node turns each failure of a run into its runtime error.
            raise KernelFault(str(error)) from error

    def recall(self, model: bytes, data_hash: bytes) -> bytes | None:
        """The result, if it is known, by the Keccak-256 of the contract's input. It counts as a
        look-up only where it is."""
        key = (model, data_hash)
        return None if self._results.peek(key) is None else self._results.find(key)

    def peek(self, model: bytes, data: bytes) -> bytes | None:
        """The result, if it is known, for one who does not need it."""
        return self._results.peek((model, keccak(data)))

    def prepare(self, model: bytes, data: bytes, urgency: Urgency) -> Future[Answer]:
        """Have a result computed and kept; cancel what is not wanted any more. Raises
        `EngineUnavailable` or `ModelFault`, as may the future."""
        graph = self._loader.load(model)
        began = time.monotonic()
        asked = self._scheduler.ask(model.hex(), _to_kernel(graph, data), urgency)

        def done(future: Future[Answer]) -> None:
            if not future.cancelled() and future.exception() is None:
                with suppress(EngineUnavailable):  # it is computed when it is asked for
                    self._take(graph, (model, keccak(data)), data, future.result(), began)

        asked.add_done_callback(done)
        return asked

    def distrust(self, device: str) -> None:
        """Take back what this device alone stands for, and have it computed again."""
        gone = self._results.drop(device)
        if gone:
            text = "%s was wrong: %d of its results are computed again"
            log.warning(text, device, len(gone), extra={"action": "results_dropped"})
        for each in gone:
            self._recompute(each)

    @property
    def retracted(self) -> int:
        """Results taken back so far. Whoever holds some of his own asks again when it grows."""
        return self._results.retracted

    def take_fresh(self) -> dict[Key, bytes]:
        """Results kept since the last time, by model and Keccak-256 of the data."""
        return self._results.take_fresh()

    def refresh(self) -> None:
        """Let the next `take_fresh` give all that are kept."""
        self._results.refresh()

    def forget(self) -> None:
        """Forget all results; they are computed again when they are asked for."""
        self._results.clear()

    def _compute(
        self, model: bytes, data: bytes, key: Key, urgency: Urgency, seconds: float | None
    ) -> bytes:
        graph = self._loader.load(model)
        kernel = _to_kernel(graph, data)
        began = time.monotonic()
        answer = self._scheduler.run(model.hex(), kernel, urgency, seconds)
        return self._take(graph, key, data, answer, began)

    def _take(self, graph: Graph, key: Key, data: bytes, answer: Answer, began: float) -> bytes:
        """Keep a result and return it in the contract's form. Raises `EngineUnavailable` where it
        is not to be believed."""
        model, _ = key
        if len(answer.output) != graph.output_bytes:
            raise EngineUnavailable(
                f"{answer.device} answered {len(answer.output)} bytes of {graph.output_bytes}"
            )
        result = words.to_contract_form(graph, answer.output)
        milliseconds = (time.monotonic() - began) * 1000
        done = Computed(
            *(time.time(), model.hex(), key[1].hex()),
            *(answer.device, milliseconds, answer.checked),
        )
        with self._lock:
            self._recent.append(done)
        self._results.keep(key, result)
        if not answer.checked and not self._results.doubt(
            answer.device, model, data, key, result, answer.began
        ):
            raise EngineUnavailable(f"{answer.device} was found wrong meanwhile")
        return result

    def _recompute(self, gone: Unchecked) -> None:
        try:
            asked = self.prepare(gone.model, gone.data, Urgency.PRERUN)
        except (EngineUnavailable, ModelFault):
            return  # it is computed when it is asked for
        asked.add_done_callback(lambda future: self._compare(gone, future))

    def _compare(self, gone: Unchecked, future: Future[Answer]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        result = self._results.peek(gone.key)
        if result is not None and result != gone.result:
            with self._lock:
                self._corrected += 1
            text = "%s gave a wrong result of model %s for input %s, which may be in a block"
            where = (gone.device, gone.model.hex(), gone.key[1].hex())
            log.error(text, *where, extra={"action": "result_corrected"})


class _Urgent:
    """`Infer` of an `Inference` for one who asks."""

    def __init__(self, inner: Inference, urgency: Urgency) -> None:
        self._inner, self._urgency = inner, urgency
        self.operations = inner.operations
        self.input_data = inner.input_data

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        return self._inner.run(model, data, raw_size, self._urgency)


class CountedInference:
    """Counts the calls of one execution by model."""

    def __init__(self, inner: Infer) -> None:
        self._inner = inner
        self.calls: Counter[bytes] = Counter()

    def operations(self, model: bytes, raw_size: int) -> int:
        return self._inner.operations(model, raw_size)

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        return self._inner.input_data(infohash, raw_size)

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        self.calls[model] += 1
        return self._inner.run(model, data, raw_size)


def _to_kernel(graph: Graph, data: bytes) -> bytes:
    """Raises `ModelFault`."""
    try:
        return words.to_kernel_form(graph, data)
    except CvmRunError as error:
        raise ModelFault(str(error)) from error
