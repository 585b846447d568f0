"""What computes the vectors' inferences: the reference, or a device of some family.

What a device may not run is run by the reference instead, and counted by the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from drivers import registry
from drivers.base import Capability, InferSession, ProbeStatus
from drivers.errors import DriverError, NotSupported
from drivers.worker import open_session
from farmctl.errors import Unavailable
from node.lowering import encode_heads, lower
from node.spec.cvm import Graph, run
from node.spec.cvm.execution import decode_input

DEADLINE_SECONDS = 120.0
REFERENCE = "reference"
_MODEL = "conformance"


class Engine(Protocol):
    def run(self, graph: Graph, data: bytes) -> bytes:
        """As `node.spec.cvm.run`."""
        ...

    def report(self) -> list[str]:
        """What was computed where, a line each."""
        ...


class ReferenceEngine:
    """The CVM's own arithmetic."""

    def run(self, graph: Graph, data: bytes) -> bytes:
        return run(graph, data)

    def report(self) -> list[str]:
        return []


class DeviceEngine:
    """A device's session."""

    def __init__(self, device: str, session: InferSession) -> None:
        self._device, self._session = device, session
        self.computed = 0
        self.refused = Counter[str]()

    def run(self, graph: Graph, data: bytes) -> bytes:
        """As the reference; raises `DriverError` where the device fails."""
        tensor = decode_input(graph, data).astype("<i4").tobytes()
        try:
            self._session.load(_MODEL, lower(graph))
        except NotSupported as error:
            self.refused[str(error)] += 1
            return run(graph, data)
        try:
            answer = self._session.run(_MODEL, tensor)
        finally:
            self._session.unload(_MODEL)
        self.computed += 1
        return encode_heads(graph, answer)

    def report(self) -> list[str]:
        total = self.refused.total()
        lines = [f"{self._device}: {self.computed} inferences, {total} by the reference alone"]
        return lines + [f"  {count} × {reason}" for reason, count in self.refused.most_common()]


@contextmanager
def opened_engine(name: str) -> Iterator[Engine]:
    """The engine ``reference``, or the first device of a family that can infer.

    Raises `Unavailable` where there is none, with the reason.
    """
    if name == REFERENCE:
        yield ReferenceEngine()
        return
    device = _find_device(name)
    try:
        session = open_session(name, device, Capability.INFER, DEADLINE_SECONDS)
    except DriverError as error:
        raise Unavailable(f"{name} is ABSENT: {error}") from error
    with session:
        yield DeviceEngine(device, session)


def _find_device(family: str) -> str:
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
