"""A device that computes the vectors' inferences.

What a device may not run is run by the reference instead, and counted by the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drivers.base import InferSession
from drivers.errors import DriverError, DriverMissing, NotSupported
from farmctl.errors import Unavailable
from farmctl.model_sessions import find_device, loaded, open_device, run_encoded
from node.spec.cvm import Graph, run

#: As `node.spec.cvm.run`, which is the reference.
Engine = Callable[[Graph, bytes], bytes]


class DeviceEngine:
    """A device's session. ``run`` is an `Engine`."""

    def __init__(self, device: str, session: InferSession) -> None:
        self._device, self._session = device, session
        self.computed = 0
        self.refused = Counter[str]()

    def run(self, graph: Graph, data: bytes) -> bytes:
        """As the reference; raises `DriverError` where the device fails."""
        try:
            with loaded(self._session, graph) as compute:
                answer = run_encoded(graph, compute, data)
        except NotSupported as error:
            self.refused[str(error)] += 1
            return run(graph, data)
        self.computed += 1
        return answer

    def report(self) -> list[str]:
        """What was computed where, a line each."""
        total = self.refused.total()
        lines = [f"{self._device}: {self.computed} inferences, {total} by the reference alone"]
        return lines + [f"  {count} × {reason}" for reason, count in self.refused.most_common()]


@contextmanager
def opened_engine(family: str) -> Iterator[DeviceEngine]:
    """The first device of a family that can infer.

    Raises `Unavailable` where there is none, with the reason.
    """
    device = find_device(family)
    try:
        session = open_device(device)
    except DriverMissing as error:
        raise Unavailable(f"{family} is ABSENT: {error}") from error
    except DriverError as error:
        raise Unavailable(f"{family} is BROKEN: {error}") from error
    with session:
        yield DeviceEngine(device, session)
