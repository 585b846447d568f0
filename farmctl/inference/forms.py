"""From a model's files and requests' bytes to what a device takes, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from drivers.errors import WrongAnswer
from drivers.program import Program
from drivers.worker import WorkerSession
from node.lowering import encode_heads, lower
from node.spec.cvm import CvmError, Graph, load, load_graph
from node.spec.cvm.execution import decode_input

WORD_BYTES = 4


@dataclass(frozen=True)
class Arrived:
    """A model that can be brought onto a device."""

    graph: Graph
    """Without what only the program needs."""
    program: Program | None
    """None: the session may have it already, from earlier."""

    @property
    def parameter_bytes(self) -> int:
        """Of its parameters, four bytes each."""
        graph = self.graph
        entries = [e for e in graph.variables.values() if e != graph.input_entry]
        return WORD_BYTES * sum(prod(graph.shapes[entry]) for entry in entries)


def read_model(symbol: bytes, parameters: bytes) -> Arrived:
    """Raises `CvmError`, or `drivers.errors.NotSupported` where only the reference can run it."""
    graph = load(symbol, parameters, extended=True)
    return Arrived(replace(graph, parameters={}), lower(graph))


def read_symbol(symbol: bytes) -> Arrived:
    """Of a model that was read before. Raises `CvmError`."""
    return Arrived(load_graph(symbol, extended=True), None)


def run_together(
    session: WorkerSession, model: str, graph: Graph, inputs: Sequence[bytes]
) -> list[bytes | CvmError]:
    """Results in the kernel's form of inputs in the kernel's form, or what is wrong with each.
    Raises `DriverError`."""
    given = [_decode(graph, data) for data in inputs]
    right = [each for each in given if isinstance(each, bytes)]
    answers = session.run_many(model, right) if right else []
    if len(answers) != len(right):
        raise WrongAnswer(f"the device gave {len(answers)} answers to {len(right)} inputs")
    left = iter(answers)
    return [each if isinstance(each, CvmError) else _encode(graph, next(left)) for each in given]


def _decode(graph: Graph, data: bytes) -> bytes | CvmError:
    """The input tensor as a session takes it."""
    try:
        return decode_input(graph, data).astype("<i4").tobytes()
    except CvmError as error:
        return error


def _encode(graph: Graph, answer: bytes) -> bytes | CvmError:
    try:
        return encode_heads(graph, answer)
    except CvmError as error:
        return error
