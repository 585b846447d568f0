"""What computes an inference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from node.errors import ModelFault
from node.models.loading import GraphLoader
from node.spec.cvm import CvmError, run

#: Of an engine that does not say.
SLOTS = 4


@dataclass(frozen=True)
class Answer:
    """A result in the kernel's form: one int8 or one little-endian int32 per element."""

    output: bytes
    device: str = ""
    """Who computed it, where that can be said."""
    checked: bool = False
    """The reference has given the same result."""
    began: float = field(default=0.0, compare=False)
    """By the monotonic clock: no device was asked for it before. The scheduler sets it."""


class InferEngine(Protocol):
    """An engine may have methods more: see `Parallel` and `Classes`."""

    def run(self, model: str, data: bytes) -> Answer:
        """Run a model (infohash, 40 hex digits) on input in the kernel's form. Raises
        `EngineUnavailable` (`TooLarge` where it never can) or `ModelFault`, nothing else. Safe for
        several threads."""
        ...


@runtime_checkable
class Parallel(Protocol):
    """An engine that knows how much it can do at once."""

    def slots(self) -> int: ...


def count_slots(engine: InferEngine) -> int:
    """Requests that an engine computes faster together than one after another, now."""
    return engine.slots() if isinstance(engine, Parallel) else SLOTS


class Classes(Protocol):
    """An engine over devices of several makes."""

    def run_apart(self, model: str, data: bytes, device: str) -> Answer:
        """Run on a device of another class than ``device``. Raises `EngineUnavailable` where
        there is none, or `ModelFault`."""
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
