"""What the node and its import process say to each other, pickled over a socket pair: both ends
are this same program under the same user, so nothing foreign is ever unpickled.

The node sends a `Setup`, then one `Task` at a time. The process answers each with a `Report` or
an exception; before it does, it may ask (`Ask`), and gets an `Answer` for each question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from node.importing import Outcome
from node.spec.chain import Chain
from node.spec.crypto import keccak
from node.spec.errors import InvalidBlock
from node.spec.seal import CycleVerifier
from node.spec.vm.context import InferRuntimeError, KernelFault
from node.spec.vm.frame import Interpret

#: Model's infohash and Keccak-256 of the input.
Key = tuple[bytes, bytes]
Results = Mapping[Key, bytes | KernelFault]


@dataclass(frozen=True)
class Setup:
    """What the process needs to know. Functions go by name: they must be of a module."""

    store: Path
    chain: Chain
    verify_cycle: CycleVerifier
    interpret: Interpret


@dataclass(frozen=True)
class Task:
    """Take ``blocks`` in (RLP, parents first); where there are none, try those that wait."""

    now: float
    """Seconds since the epoch, by the node's clock."""
    blocks: tuple[bytes, ...] = ()
    results: Results = field(default_factory=dict)
    """Of what the last report on these blocks missed."""
    known: Mapping[Key, bytes] = field(default_factory=dict)
    """Results that the node has come to know since the last task."""
    forgets: bool = False
    """First: results told before are not to be believed any more."""


@dataclass(frozen=True)
class Question:
    """An inference that a block needs and of which no result is known."""

    model: bytes
    data: bytes
    raw_size: int

    @property
    def key(self) -> Key:
        return self.model, keccak(self.data)


@dataclass(frozen=True)
class Report:
    """``outcomes`` of the first blocks of the task, which are on the disk now. Without a
    ``failure`` of the one after them, the rest was left for another task."""

    outcomes: tuple[Outcome, ...] = ()
    failure: InvalidBlock | InferRuntimeError | None = None
    missing: tuple[Question, ...] = ()
    """What the process could find out of the inferences that are wanted."""
    retried: int = 0
    """Blocks that had waited and are in now."""
    stalled: int = 0
    """Blocks that wait for inference."""


class Topic(Enum):
    OPERATIONS = "operations"
    """Of a model (infohash, raw size)."""
    INPUT = "input"
    """Content of an input (infohash, raw size)."""


@dataclass(frozen=True)
class Ask:
    topic: Topic
    infohash: bytes
    raw_size: int


@dataclass(frozen=True)
class Answer:
    """``value`` is what was asked for, or the exception of the `Infer` protocol."""

    value: object
