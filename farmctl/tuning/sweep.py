"""The power limit at which a graph takes the least energy."""

from __future__ import annotations

import contextlib
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from drivers.base import CuckooJob, Device, Limits
from drivers.worker import WorkerSession
from farmctl.errors import Refused
from farmctl.tuning import measuring
from farmctl.tuning.measuring import Effort
from farmctl.tuning.power import Energy, PowerMeter

CONTROL = "power_limit_watts"
STEPS = 7
SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Step:
    """Mining under one power limit."""

    limit_watts: float
    """As the device reads it back."""
    graphs: int
    graphs_per_second: float
    energy: Energy

    @property
    def joules_per_graph(self) -> float | None:
        return None if self.energy.joules is None else self.energy.joules / self.graphs


def find_limits(device: Device) -> Limits:
    """Raises `Refused` for a device whose power cannot be limited."""
    limits = device.limits().get(CONTROL)
    if limits is None:
        raise Refused(f"{device.info.id} has no power limit that could be set; nothing to sweep")
    return limits


def steps_of(limits: Limits, count: int = STEPS) -> list[float]:
    """Watts from the highest limit to the lowest, evenly."""
    width = (limits.maximum - limits.minimum) / (count - 1)
    return [limits.maximum - width * n for n in range(count)]


def sweep(
    device: Device,
    session: WorkerSession,
    job: CuckooJob,
    effort: Effort,
    tell: Callable[[float], None],
    settle_seconds: float = SETTLE_SECONDS,
) -> list[Step]:
    """Measure at each limit and put back the one there was, whatever happens.

    Raises `Refused` without a limit, and `DriverError` where it cannot be set or a search fails.
    """
    steps = []
    limits = find_limits(device)
    with restored(device, limits):
        for watts in steps_of(limits):
            tell(watts)
            applied = device.apply(CONTROL, watts)
            time.sleep(settle_seconds)
            limit = watts if applied.read_back is None else applied.read_back
            steps.append(_measure(device, session, job, effort, limit))
    return steps


def best(steps: list[Step]) -> Step | None:
    """The one with the least energy a graph; None where no energy could be read."""
    known = [(each, step) for step in steps if (each := step.joules_per_graph) is not None]
    return min(known, key=lambda one: one[0])[1] if known else None


@contextlib.contextmanager
def restored(device: Device, limits: Limits) -> Iterator[None]:
    """Put the limit back at the end, on an error, on Ctrl-C and on SIGTERM or SIGHUP alike."""
    before = device.settings().get(CONTROL, limits.default)
    with ended_by_signals():
        try:
            yield
        finally:
            device.apply(CONTROL, before)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn signals that would end the process at once into an exception."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {one: signal.signal(one, _leave) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in kept.items():
            signal.signal(one, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _measure(
    device: Device, session: WorkerSession, job: CuckooJob, effort: Effort, watts: float
) -> Step:
    graphs = measuring.fill(session, job, effort.slice_seconds)
    with PowerMeter(device) as meter:
        rates = list(measuring.slices(session, job, graphs, effort.slices))
    return Step(watts, graphs * effort.slices, statistics.median(rates), meter.energy())
