"""All there is to measure of Cuckoo on the GPUs of this machine, correctness first.

1. Survivors of every round and all cycles of small graphs are those of the reference.
2. Graphs a second at the sizes that chains use, joules a graph where the GPU counts them, and
   the share of the GPU's own floor: hashing all edges once and moving each survivor once in and
   out, at the speeds that this very run measures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from drivers import registry
from drivers.base import Capability, CuckooJob, Device
from drivers.errors import DriverError, OutOfMemory
from drivers.kernels.gpu.launcher import Launcher
from drivers.kernels.gpu.plan import Plan
from drivers.kernels.gpu.planner import share_left
from drivers.kernels.gpu.search import GpuSearch
from drivers.kernels.gpu.session import open_launcher
from drivers.kernels.gpu.shape import Graphs
from drivers.kernels.gpu.trimmer import Trimmer
from drivers.kernels.graphs import VARIANTS, Cycle
from drivers.kernels.reference import hash_graphs

HEADER = bytes(range(32))
MEMBERS = (((4, 8), Cycle.CUCKAROO), ((2, 4), Cycle.CUCKAROO), ((2, 4), Cycle.CUCKATOO))
FAMILIES = ("cuda", "rocm")
MEASURED = ("cuckaroo29", "cuckaroo30-ctx", "cuckatoo31", "cuckatoo32")
SECONDS = 20.0
ENTRY_BYTES = 8


def run(quick: bool) -> dict[str, Any]:
    devices = [device for family in FAMILIES for device in _devices(family)]
    if not devices:
        return {"absent": {family: _why_absent(family) for family in FAMILIES}, "rows": []}
    rows, checked = [], []
    for device in devices:
        session = device.open(Capability.CUCKOO)
        assert isinstance(session, GpuSearch)
        checked += check(session, small=50 if quick else 2000, large=1 if quick else 20)
        rows += [row for name in MEASURED for row in measure(device, session, name, quick)]
        session.close()
    return {"checked": checked, "rows": rows}


def check(session: GpuSearch, small: int, large: int) -> list[dict[str, Any]]:
    """Compare with the reference; raises `AssertionError` where anything differs."""
    return [
        _compare(session, CuckooJob(HEADER, edge_bits, rounds, 6, cycle), graphs)
        for rounds, cycle in MEMBERS
        for edge_bits, graphs in ((12, small), (18, large))
    ]


def _compare(session: GpuSearch, job: CuckooJob, graphs: int) -> dict[str, Any]:
    nonces = range(graphs)
    _, found = session.search(job, 0, graphs, lambda: False)
    expected = []
    for nonce, graph in zip(nonces, hash_graphs(job, nonces), strict=True):
        expected += [(nonce, edges) for edges in graph.cycles()]
        survivors = session.survivors(job, nonce).survivors
        assert survivors == graph.survivors(len(survivors) - 1), (job, nonce)
    assert [(solution.nonce, solution.edges) for solution in found] == expected, job
    return {
        "graphs_of": f"{job.cycle}{job.edge_bits} {job.rounds[0]}-{job.rounds[1]}",
        "graphs": graphs,
        "cycles": len(found),
        "edges_lost": session.edges_lost,
    }


def measure(device: Device, session: GpuSearch, name: str, quick: bool) -> list[dict[str, Any]]:
    """A row of one member of the family; none where it does not fit the memory."""
    job = CuckooJob.of(VARIANTS[name], HEADER)
    graphs = Graphs(job.edge_bits, job.rounds, job.cycle)
    try:
        plan = session.plan(graphs)
    except OutOfMemory as error:
        print(f"{device.info.id}: {name}: {error}")
        return []
    floor = measure_floor(open_launcher(device.info.parent), plan)
    lost = session.edges_lost
    session.search(job, 0, 3, lambda: False)
    before, started = _joules(device), time.perf_counter()
    until = started + (SECONDS / 10 if quick else SECONDS)
    done, cycles = session.search(job, 3, 1 << 20, lambda: time.perf_counter() > until)
    seconds, after = time.perf_counter() - started, _joules(device)
    joules = None if before is None or after is None else after - before
    return [
        {
            "device": device.info.model,
            "graphs_of": name,
            "graphs": done,
            "graphs_per_second": done / seconds,
            "joules_per_graph": None if joules is None or not done else joules / done,
            "share_of_floor": done * floor / seconds,
            "floor_ms": floor * 1e3,
            "cycles": len(cycles),
            "cycles_expected": done / job.proof_size,
            "edges_lost": session.edges_lost - lost,
            "memory_mib": plan.memory_bytes >> 20,
            "hash_passes": plan.hash_passes,
        }
    ]


def measure_floor(launcher: Launcher, plan: Plan) -> float:
    """Seconds of a graph if nothing but hashing once and moving the survivors took time, one
    after the other."""
    trimmer = Trimmer(launcher, plan)
    clears = [launch for launch in plan.launches if launch.kernel == "clear_bitmaps"]
    hashing = _time(trimmer, launcher, [plan.recovery])
    storing = _time(trimmer, launcher, clears) / (3 * plan.bitmap_words * 4)
    trimmer.close()
    moved = 2 * sum(share_left(number) for number in range(plan.shape.rounds))
    return hashing + moved * plan.graphs.edges * ENTRY_BYTES * storing


def _time(trimmer: Trimmer, launcher: Launcher, launches: Sequence[Any]) -> float:
    run_once = launcher.prepare(launches, trimmer.job)
    seconds = []
    for _ in range(4):
        launcher.read(trimmer.job, 8)
        started = time.perf_counter()
        run_once()
        launcher.read(trimmer.job, 8)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _joules(device: Device) -> float | None:
    return device.snapshot().values.get("energy_joules")


def _devices(family: str) -> list[Device]:
    try:
        found = registry.driver(family).discover()
    except DriverError:
        return []
    return [device for device in found if Capability.CUCKOO in device.info.capabilities]


def _why_absent(family: str) -> str:
    probe = registry.driver(family).probe()
    if probe.reason:
        return probe.reason
    devices = registry.driver(family).discover()
    return "; ".join(d.info.details.get("cuckoo", "") for d in devices) or "no device"
