"""From a model's files and a request's bytes to what a device takes."""

from __future__ import annotations

from dataclasses import replace

from drivers.program import Program
from node.lowering import lower
from node.spec.cvm import CvmError, Graph, load
from node.spec.cvm.execution import decode_input

Arrived = tuple[Graph, Program]


def read_model(symbol: bytes, parameters: bytes) -> Arrived:
    """The program, and the graph without what only the program needs. Raises `CvmError`, or
    `drivers.errors.NotSupported` where only the reference can run it."""
    graph = load(symbol, parameters, extended=True)
    return replace(graph, parameters={}), lower(graph)


def decode_request(graph: Graph, data: bytes) -> bytes | CvmError:
    """The input tensor as a session takes it, or what is wrong with the bytes."""
    try:
        return decode_input(graph, data).astype("<i4").tobytes()
    except CvmError as error:
        return error
