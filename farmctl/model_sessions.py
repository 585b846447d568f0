"""A model on a device of this machine: for commands that compare it with the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from drivers import registry, worker
from drivers.base import Capability, InferSession, ProbeStatus
from farmctl.errors import Unavailable
from node.lowering import lower, split_heads
from node.spec.cvm import Graph
from node.spec.cvm.execution import decode_input
from node.spec.cvm.output import encode_output

#: The engine that is no device.
REFERENCE = "reference"
DEADLINE_SECONDS = 120.0
_MODEL = "model"

Integers = NDArray[np.int32]
#: From an input tensor, within its precision, to the tensor of each head.
Compute = Callable[[Integers], list[Integers]]


def find_device(family: str) -> str:
    """The first device of a family that can infer.

    Raises:
        Unavailable: there is none; the message says why.
    """
    if family not in registry.families():
        known = ", ".join([REFERENCE, *registry.families()])
        raise Unavailable(f"{family} is ABSENT: no such family; engines are {known}")
    found = registry.survey_family(family)
    if found.probe.status is not ProbeStatus.PASS:
        raise Unavailable(f"{family} is {found.probe.status.name}: {found.probe.reason}")
    for device in found.devices:
        if Capability.INFER in device.info.capabilities:
            return device.info.id
    raise Unavailable(f"{family} is ABSENT: none of its {len(found.devices)} devices can infer")


def open_device(device: str) -> worker.WorkerSession:
    """Raises `DriverError` where there is no such device, or it cannot be opened."""
    family = device.partition(":")[0]
    return worker.open_session(family, device, Capability.INFER, DEADLINE_SECONDS)


@contextmanager
def loaded(session: InferSession, graph: Graph) -> Iterator[Compute]:
    """What computes a model on an open session, with the model there meanwhile.

    Raises:
        NotSupported: the device cannot run the model.
        DriverError: it failed.
    """
    session.load(_MODEL, lower(graph))
    try:
        yield lambda values: split_heads(graph, session.run(_MODEL, values.astype("<i4").tobytes()))
    finally:
        session.unload(_MODEL)


def run_encoded(graph: Graph, compute: Compute, data: bytes) -> bytes:
    """As `node.spec.cvm.run`, from kernel form to kernel form."""
    return encode_output(graph, compute(decode_input(graph, data)))


def run_on(device: str) -> Callable[[Graph, Iterator[Integers]], Iterator[list[Integers]]]:
    """What runs a model on a device, for a report (`node.mrt.evaluation.RunModel`)."""

    def run_model(graph: Graph, inputs: Iterator[Integers]) -> Iterator[list[Integers]]:
        with open_device(device) as session, loaded(session, graph) as compute:
            yield from map(compute, inputs)

    return run_model
