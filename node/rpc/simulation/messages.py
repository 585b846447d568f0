"""What the node and a process that executes calls say to each other, pickled over a socket pair:
both ends are this same program under the same user, so nothing foreign is ever unpickled.

The node sends a `Setup`, then one `Job` at a time; the process answers each with a `CallResult` or
an exception. Before it does, it may ask for an inference (`Ask`), and gets what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from node.rpc.simulation.calls import Call
from node.spec.chain import Chain
from node.spec.types import Header
from node.spec.vm.frame import Interpret


@dataclass(frozen=True)
class Setup:
    """What the process needs to know. ``interpret`` goes by name."""

    store: Path
    chain: Chain
    interpret: Interpret


@dataclass(frozen=True)
class Job:
    """A call after a block, or with ``most_gas`` None the estimate of its gas."""

    wanted: Call
    header: Header
    most_gas: int | None


class Topic(Enum):
    """Methods of the `Infer` protocol."""

    OPERATIONS = "operations"
    INPUT_DATA = "input_data"
    RUN = "run"


@dataclass(frozen=True)
class Ask:
    topic: Topic
    arguments: tuple[bytes | int, ...]
