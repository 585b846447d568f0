"""Inference for consensus: from what the machine asks to an engine that computes it.

`Inference` fulfils the machine's `Infer` protocol: it finds the model, converts a contract's
bytes to the kernel's and back, keeps results, and asks an `InferEngine`. An engine that fails is
never an answer: the transaction waits (`InferRuntimeError`), as does a block that holds it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from node.errors import EngineUnavailable, ModelFault
from node.models.errors import MalformedModel, StorageError
from node.models.input_file import read_input
from node.models.loading import GraphLoader
from node.models.storage import DATA
from node.spec.crypto import keccak
from node.spec.cvm import CvmError, run, words
from node.spec.cvm.errors import CvmRunError
from node.spec.vm.context import Infer, InferLogicError, InferRuntimeError, KernelFault

RESULTS = 4096
RESULT_BYTES = 65_536
#: Computed inferences that can be looked at.
RECENT = 1000


@dataclass(frozen=True)
class Answer:
    """A result in the kernel's form: one int8 or one little-endian int32 per element."""

    output: bytes
    device: str = ""
    """Who computed it, where that can be said."""
    checked: bool = False
    """The reference has given the same result."""


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


class InferEngine(Protocol):
    def run(self, model: str, data: bytes) -> Answer:
        """Run a model (infohash, 40 hex digits) on input in the kernel's form. Raises
        `EngineUnavailable` or `ModelFault`, nothing else."""
        ...


class ReferenceEngine:
    """The CVM's own arithmetic, slow and certain."""

    def __init__(self, loader: GraphLoader) -> None:
        self._loader = loader

    def run(self, model: str, data: bytes) -> Answer:
        graph = self._loader.load(bytes.fromhex(model))
        try:
            return Answer(run(graph, data), "reference")
        except CvmError as error:
            raise ModelFault(str(error), logic=error.logic) from error


class CrossCheckedEngine:
    """An engine of which a sample, and every claim of a fault, is computed again.

    A difference is never passed on: it is reported (model, device, what was wrong) and the
    inference counts as unavailable.
    """

    def __init__(
        self,
        primary: InferEngine,
        reference: InferEngine,
        ratio: float,
        report: Callable[[str, str, str], None],
    ) -> None:
        self._primary = primary
        self._reference = reference
        self._ratio = ratio
        self._report = report

    def run(self, model: str, data: bytes) -> Answer:
        try:
            answer = self._primary.run(model, data)
        except ModelFault as fault:
            # A fault is judged by the reference alone: an outage must not pass for one.
            expected = self._reference.run(model, data)
            self._report(model, fault.device, f"claimed a fault where there is none: {fault}")
            return expected
        return self._check(model, data, answer) if random.random() < self._ratio else answer

    def _check(self, model: str, data: bytes, answer: Answer) -> Answer:
        if self._reference.run(model, data).output == answer.output:
            return replace(answer, checked=True)
        self._report(model, answer.device, "gave a wrong result")
        raise EngineUnavailable(f"{answer.device} gave a wrong result for model {model}")


class Inference:
    """`Infer` of the machine over a storage and an engine. Safe for several threads."""

    def __init__(self, loader: GraphLoader, engine: InferEngine) -> None:
        self._loader = loader
        self.engine = engine
        self._results: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()
        self._fresh: dict[tuple[bytes, bytes], bytes] = {}
        self._lock = threading.Lock()
        self._recent: deque[Computed] = deque(maxlen=RECENT)

    def recent(self, model: str) -> list[Computed]:
        """The newest inferences of a model (infohash, hex) that were computed for this node
        since its start, oldest first. What was known from before is not computed again."""
        with self._lock:
            return [each for each in self._recent if each.model == model]

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

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        key = (model, keccak(data))
        with self._lock:
            known = self._results.get(key)
        if known is not None:
            return known
        try:
            result = self._compute(model, data)
        except EngineUnavailable as error:
            raise InferRuntimeError(str(error)) from error
        except ModelFault as error:
            # The network's node turns each failure of a run into its runtime error.
            raise KernelFault(str(error)) from error
        if len(result) <= RESULT_BYTES:
            self._keep(key, result)
        return result

    def take_fresh(self) -> dict[tuple[bytes, bytes], bytes]:
        """Results kept since the last time, by model and Keccak-256 of the data."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
            return fresh

    def refresh(self) -> None:
        """Let the next `take_fresh` give all that are kept."""
        with self._lock:
            self._fresh = dict(self._results)

    def _keep(self, key: tuple[bytes, bytes], result: bytes) -> None:
        with self._lock:
            self._results[key] = self._fresh[key] = result
            if len(self._results) > RESULTS:
                oldest, _ = self._results.popitem(last=False)
                self._fresh.pop(oldest, None)

    def _compute(self, model: bytes, data: bytes) -> bytes:
        graph = self._loader.load(model)
        try:
            kernel = words.to_kernel_form(graph, data)
        except CvmRunError as error:
            raise ModelFault(str(error)) from error
        began = time.monotonic()
        answer = self.engine.run(model.hex(), kernel)
        self._note(model, data, answer, (time.monotonic() - began) * 1000)
        return words.to_contract_form(graph, answer.output)

    def _note(self, model: bytes, data: bytes, answer: Answer, milliseconds: float) -> None:
        done = Computed(
            time.time(),
            model.hex(),
            keccak(data).hex(),
            answer.device,
            milliseconds,
            answer.checked,
        )
        with self._lock:
            self._recent.append(done)


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
