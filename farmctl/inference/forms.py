"""From a model's files and a request's bytes to what a device takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from drivers.program import Program
from node.lowering import lower
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


def decode_request(graph: Graph, data: bytes) -> bytes | CvmError:
    """The input tensor as a session takes it, or what is wrong with the bytes."""
    try:
        return decode_input(graph, data).astype("<i4").tobytes()
    except CvmError as error:
        return error
