"""Graphs per second of one way to mine on a device."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drivers import selftest
from drivers.base import Capability, CuckooJob, Device
from drivers.errors import DriverError
from drivers.worker import WorkerSession, open_session
from farmctl.tuning.power import Energy, PowerMeter
from farmctl.tuning.records import Options

DEADLINE_SECONDS = 600.0
#: A slice is as many graphs as fill its seconds, found by doubling.
MOST_GRAPHS = 1 << 20
HOST_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True)
class Effort:
    """How long a way is measured: so many slices of about so many seconds, at least a graph
    each."""

    slices: int
    slice_seconds: float


QUICK, FULL = Effort(3, 0.5), Effort(5, 4.0)


@dataclass(frozen=True)
class Measured:
    """One way to mine. Rates are over its slices: the median, the least and the most."""

    options: Options
    graphs: int
    graphs_per_second: float
    least_per_second: float
    most_per_second: float
    worker_bytes: int
    """Peak memory of the session's process."""
    device_bytes: int | None
    """Memory that the session took on a device that has its own; None elsewhere."""
    energy: Energy

    @property
    def spread_ratio(self) -> float:
        """Half the span of the slices, as a share of the median."""
        span = self.most_per_second - self.least_per_second
        return span / 2 / self.graphs_per_second

    @property
    def joules_per_graph(self) -> float | None:
        return None if self.energy.joules is None else self.energy.joules / self.graphs


@dataclass(frozen=True)
class Failed:
    """A way that does not work here, and why."""

    options: Options
    reason: str


def measure(device: Device, options: Options, job: CuckooJob, effort: Effort) -> Measured | Failed:
    """Open a session this way, have it give the known answer, and time it."""
    try:
        before = _device_memory(device)
        with open_way(device, options) as session:
            selftest.check(session, Capability.CUCKOO)
            session.search(job, 0, 1, _never)
            return _measure_open(device, session, options, job, effort, before)
    except DriverError as error:
        return Failed(options, str(error))


def open_way(device: Device, options: Options) -> WorkerSession:
    info = device.info
    return open_session(info.family, info.id, Capability.CUCKOO, DEADLINE_SECONDS, **options)


def _measure_open(
    device: Device,
    session: WorkerSession,
    options: Options,
    job: CuckooJob,
    effort: Effort,
    before: int | None,
) -> Measured:
    graphs = fill(session, job, effort.slice_seconds)
    with PowerMeter(device) as meter:
        rates = [rate for rate in slices(session, job, graphs, effort.slices)]
    after = _device_memory(device)
    return Measured(
        options,
        graphs * effort.slices,
        statistics.median(rates),
        min(rates),
        max(rates),
        _peak_bytes(session.pid),
        None if before is None or after is None else max(0, after - before),
        meter.energy(),
    )


def fill(session: WorkerSession, job: CuckooJob, seconds: float) -> int:
    """Graphs that take about so many seconds, found by searching twice as many again and again;
    they also warm the device up."""
    graphs = 1
    while graphs < MOST_GRAPHS:
        took = _search(session, job, graphs)
        if took >= seconds / 2:
            return max(1, round(graphs * seconds / took))
        graphs *= 2
    return graphs


def slices(session: WorkerSession, job: CuckooJob, graphs: int, count: int) -> Iterator[float]:
    """Graphs per second of each slice."""
    for number in range(count):
        yield graphs / _search(session, job, graphs, first_nonce=number * graphs)


def _search(session: WorkerSession, job: CuckooJob, graphs: int, first_nonce: int = 0) -> float:
    """Seconds that so many graphs took. Raises `DriverError` where fewer were done."""
    began = time.perf_counter()
    done, _ = session.search(job, first_nonce, graphs, _never)
    seconds = time.perf_counter() - began
    if done != graphs:
        raise DriverError(f"the session did {done} of {graphs} graphs")
    return seconds


_never: Callable[[], bool] = lambda: False  # noqa: E731 - the name is the point


def _device_memory(device: Device) -> int | None:
    """Bytes in use on a device with memory of its own."""
    values = device.snapshot().values
    if values.get("memory_total_bytes") in (None, HOST_BYTES):
        return None
    used = values.get("memory_used_bytes")
    return None if used is None else int(used)


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0
