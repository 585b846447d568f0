"""A model on a device of this machine: for commands that compare it with the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from drivers import worker
from drivers.base import Capability
from node.lowering import encode_heads, lower, split_heads
from node.spec.cvm import Graph
from node.spec.cvm.execution import decode_input

DEADLINE_SECONDS = 60.0
Integers = NDArray[np.int32]


@contextmanager
def open_device(graph: Graph, device: str) -> Iterator[Callable[[Integers], bytes]]:
    """A function from an input tensor, within its precision, to the bytes of all heads.

    Raises:
        DriverError: there is no such device, or it cannot run the model.
    """
    family = device.partition(":")[0]
    with worker.open_session(family, device, Capability.INFER, DEADLINE_SECONDS) as session:
        session.load("model", lower(graph))
        yield lambda values: session.run("model", values.astype("<i4").tobytes())


@contextmanager
def open_kernel(graph: Graph, device: str) -> Iterator[Callable[[bytes], bytes]]:
    """The same from kernel form to kernel form."""
    with open_device(graph, device) as run:
        yield lambda data: encode_heads(graph, run(decode_input(graph, data)))


def run_on(device: str) -> Callable[[Graph, Iterator[Integers]], Iterator[list[Integers]]]:
    """What runs a model on a device, for a report (`node.mrt.evaluation.RunModel`)."""

    def run_model(graph: Graph, inputs: Iterator[Integers]) -> Iterator[list[Integers]]:
        with open_device(graph, device) as run:
            for values in inputs:
                yield split_heads(graph, run(values))

    return run_model
