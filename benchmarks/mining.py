"""How soon a miner follows: new work, a pause and its end, and INFER requests beside it.

The mine workload runs as in a runner, with its device in a worker process; one thread mines.
A switch is timed from the announcement on the bus to the first hash of the new work, begun at a
random moment of a graph; its bound is the longest phase of that graph, which is printed beside
it. Wall time: run it on a machine that does nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from benchmarks.families.clocked.driver import NOTE
from benchmarks.infer.small import convolutional_net
from drivers.base import Capability, CuckooJob
from drivers.cpu.cuckoo import Solver
from drivers.cpu.driver import default_memory_limit_bytes
from drivers.selftest import spread
from drivers.worker import WorkerSession, open_session
from farmctl.agent.link import BusLink
from farmctl.bus import Bus
from farmctl.memory_bus import MemoryBus
from farmctl.messages import Message, Work
from farmctl.workloads.base import Place
from farmctl.workloads.mine import Mine

FAMILIES = Path(__file__).with_name("families")
#: edge bits, switches, seconds from one to the next at most
QUICK = ((14, 5, 0.1), (18, 5, 0.1))
FULL = ((18, 100, 0.1), (24, 40, 1.0), (27, 20, 3.0), (29, 12, 8.0))
NOTHING_MEETS = f"{1:064x}"
WAIT_SECONDS = 120.0
NET = ("digits", 8, 1, 16, 32)


def run(quick: bool) -> dict[str, Any]:
    cases = QUICK if quick else FULL
    return {"rows": [row for case in cases for row in asyncio.run(measure(*case))]}


async def measure(edge_bits: int, count: int, most_seconds: float) -> list[dict[str, Any]]:
    longest_ms, graph_ms = longest_phase_ms(edge_bits)
    known = {"edge_bits": edge_bits, "longest_phase_ms": longest_ms, "graph_ms": graph_ms}
    async with mining() as miner:
        await miner.offer(edge_bits)
        switches, pauses, resumes = [], [], []
        for _ in range(count):
            await asyncio.sleep(random.uniform(0.0, most_seconds))
            switches.append(await miner.offer(edge_bits))
        for _ in range(max(3, count // 4)):
            await asyncio.sleep(random.uniform(0.0, most_seconds))
            pauses.append(await miner.pause())
            resumes.append(await miner.resume())
        await miner.offer(edge_bits)
        infers = await asyncio.to_thread(infer_seconds, 50 if count < 10 else 200)
        await miner.pause()
        idle = await asyncio.to_thread(infer_seconds, 50 if count < 10 else 200)
    timed = {"new work": switches, "pause": pauses, "resume": resumes}
    timed |= {"INFER while mining": infers, "INFER while paused": idle}
    return [{"what": what, **known, **summary(found)} for what, found in timed.items()]


def summary(seconds: list[float]) -> dict[str, float]:
    parts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {
        "count": len(seconds),
        "least_ms": min(seconds) * 1e3,
        "p50_ms": parts[9] * 1e3,
        "p95_ms": parts[18] * 1e3,
        "most_ms": max(seconds) * 1e3,
    }


def longest_phase_ms(edge_bits: int) -> tuple[float, float]:
    """The longest phase of one graph, between two of which a search looks for a stop; and the
    whole graph."""
    solver = Solver(edge_bits, default_memory_limit_bytes())
    solver.solve(CuckooJob(bytes(32), edge_bits), 0)
    began = time.perf_counter()
    solver.solve(CuckooJob(bytes(32), edge_bits), 1)
    seconds = time.perf_counter() - began
    phases = solver.phases()
    solver.close()
    return max(phases.values()) * 1e3, seconds * 1e3


class Miner:
    def __init__(self, activity: Mine, bus: MemoryBus, notes: Path) -> None:
        self._activity, self._bus, self._notes = activity, bus, notes
        self._heights = itertools.count(1)
        self.work: Work | None = None

    async def offer(self, edge_bits: int) -> float:
        """Announce new work; seconds until its first hash."""
        height = next(self._heights)
        self.work = Work(
            chain="benchmark",
            seal_hash=height.to_bytes(32, "little").hex(),
            target=NOTHING_MEETS,
            height=height,
            edge_bits=edge_bits,
            compression_rounds=4,
            finalisation_rounds=8,
        )
        began = time.monotonic_ns()
        await self._bus.publish("node.work.new", self.work)
        return (await self._begun(height, began) - began) / 1e9

    async def pause(self) -> float:
        began = time.monotonic()
        await self._activity.pause()
        return time.monotonic() - began

    async def resume(self) -> float:
        """Seconds until the next hash."""
        began = time.monotonic_ns()
        await self._activity.resume()
        assert self.work is not None
        return (await self._begun(self.work.height, began) - began) / 1e9

    async def _begun(self, height: int, after: int) -> int:
        wanted = height.to_bytes(8, "little")
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            notes = NOTE.iter_unpack(self._notes.read_bytes())
            for header, at in notes:
                if header == wanted and at > after:
                    return int(at)
            await asyncio.sleep(0.002)
        raise RuntimeError(f"the miner did not follow within {WAIT_SECONDS:g} s")


@contextlib.asynccontextmanager
async def mining() -> AsyncIterator[Miner]:
    bus = MemoryBus()

    async def connect() -> Bus:
        return bus

    link = BusLink(connect)
    link.start()
    with clocked() as (notes, folder):
        place = Place("rig", "clocked:0", "run", folder, link, lambda event: None)
        activity = Mine(place, {})
        miner = Miner(activity, bus, notes)

        async def give(_: Message) -> Work:
            assert miner.work is not None
            return miner.work

        await activity.start()
        await bus.serve("node.work", Message, give)
        running = asyncio.create_task(activity.run())
        try:
            yield miner
        finally:
            await activity.stop()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await link.close()


@contextlib.contextmanager
def clocked() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.touch()
        os.environ["CLOCKED_FILE"] = str(notes)
        os.environ["FARMCTL_DRIVERS"] = str(FAMILIES)
        try:
            yield notes, Path(folder)
        finally:
            del os.environ["CLOCKED_FILE"], os.environ["FARMCTL_DRIVERS"]


def infer_seconds(count: int) -> list[float]:
    """Each of so many inferences in a session of its own, as an INFER reserve has it."""
    program, _ = convolutional_net(*NET[1:])
    data = spread(program.input_shape, 251, 127).astype("<i4").tobytes()
    with open_session("cpu", "cpu:0", Capability.INFER) as session:
        session.load("net", program)
        return [timed_infer(session, data) for _ in range(count)]


def timed_infer(session: WorkerSession, data: bytes) -> float:
    time.sleep(random.uniform(0.0, 0.02))
    began = time.perf_counter()
    session.run("net", data)
    return time.perf_counter() - began
