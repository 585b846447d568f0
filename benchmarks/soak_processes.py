"""The processes of a rig over time: memory, descriptors, threads; what grows is a leak."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psutil

#: A process is looked at from this age on: it has loaded what it needs by then.
SETTLED_SECONDS = 120.0
#: Fewer samples than this of one process show no growth.
LEAST_SAMPLES = 45
MEMORY_SLACK_BYTES, MEMORY_SLACK_SHARE = 8 << 20, 0.05
COUNT_SLACK = 2
MIB = 1 << 20


@dataclass(frozen=True)
class Sample:
    at: float
    resident_bytes: int
    descriptors: int
    threads: int


@dataclass
class Life:
    """One process from its first sample to its last."""

    role: str
    process: psutil.Process
    samples: list[Sample] = field(default_factory=list)

    def settled(self) -> list[Sample]:
        return [s for s in self.samples if s.at - self.samples[0].at >= SETTLED_SECONDS]

    def leaks(self) -> list[str]:
        """What grew from the first quarter of its settled life to the last."""
        samples = self.settled()
        if len(samples) < LEAST_SAMPLES:
            return []
        quarter = len(samples) // 4
        first, last = samples[:quarter], samples[-quarter:]
        found = []
        for what in ("resident_bytes", "descriptors", "threads"):
            before, after = (statistics.mean(getattr(s, what) for s in q) for q in (first, last))
            slack = COUNT_SLACK
            if what == "resident_bytes":
                slack = max(MEMORY_SLACK_BYTES, int(MEMORY_SLACK_SHARE * before))
            if after - before > slack:
                found.append(f"{what} of {self.role} grew from {before:.0f} to {after:.0f}")
        return found

    def record(self) -> dict[str, Any]:
        samples = self.settled() or self.samples
        return {
            "role": self.role,
            "pid": self.process.pid,
            "seconds": round(self.samples[-1].at - self.samples[0].at),
            "resident_mib": [round(samples[i].resident_bytes / MIB, 1) for i in (0, -1)],
            "resident_mib_most": round(max(s.resident_bytes for s in samples) / MIB, 1),
            "mib_per_hour": mib_per_hour(samples),
            "descriptors": [samples[i].descriptors for i in (0, -1)],
            "threads": [samples[i].threads for i in (0, -1)],
        }


def mib_per_hour(samples: list[Sample]) -> float | None:
    """Slope of the resident memory by least squares."""
    if len(samples) < LEAST_SAMPLES:
        return None
    times, sizes = [s.at for s in samples], [s.resident_bytes / MIB for s in samples]
    return round(statistics.linear_regression(times, sizes).slope * 3600, 3)


class ProcessLog:
    def __init__(self) -> None:
        self._lives: dict[tuple[int, float], Life] = {}
        self._counts: list[Counter[str]] = []
        self.orphans: list[str] = []

    async def sample(self, root: int) -> None:
        """Look at a process and everything below it."""
        now, counts = time.monotonic(), Counter[str]()
        for process in tree(root):
            try:
                role = role_of(process.cmdline())
                with process.oneshot():
                    resident, threads = process.memory_info().rss, process.num_threads()
                    sample = Sample(now, resident, process.num_fds(), threads)
            except psutil.Error:
                continue  # It ended meanwhile.
            counts[role] += 1
            key = (process.pid, process.create_time())
            self._lives.setdefault(key, Life(role, process)).samples.append(sample)
        self._counts.append(counts)

    def find(self, root: int, role: str) -> psutil.Process | None:
        """Of the processes below ``root`` in that role, the one that has worked most."""
        found = []
        for process in tree(root):
            with contextlib.suppress(psutil.Error):
                if role_of(process.cmdline()) == role:
                    found.append((process.cpu_times().user, process.pid, process))
        return max(found)[2] if found else None

    def look_for_orphans(self) -> None:
        """Once the root has ended: whatever is left of what was seen."""
        lives = [life for life in self._lives.values() if life.process.is_running()]
        _, alive = psutil.wait_procs([life.process for life in lives], timeout=10)
        self.orphans = [
            f"{life.role} {life.process.pid}" for life in lives if life.process in alive
        ]

    def leaks(self) -> list[str]:
        found = [leak for life in self._lives.values() for leak in life.leaks()]
        quarter = len(self._counts) // 4
        if quarter:
            first, last = (
                max(sum(c.values()) for c in part)
                for part in (self._counts[:quarter], self._counts[-quarter:])
            )
            if last > first + 1:
                found.append(f"the rig's processes grew from {first} to {last}")
        return found

    def record(self) -> dict[str, Any]:
        lives = sorted(self._lives.values(), key=lambda life: len(life.samples), reverse=True)
        return {
            "lives": len(lives),
            "at_once_most": max((sum(c.values()) for c in self._counts), default=0),
            "at_once_last": dict(self._counts[-1]) if self._counts else {},
            "longest": [life.record() for life in lives[:12]],
        }


def tree(root: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(root)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def role_of(command: list[str]) -> str:
    """``agent``, ``runner DEVICE`` or ``worker``."""
    for module, after in pairwise([*command, ""]):
        if module == "farmctl.agent.runner":
            return f"runner {after}"
        if module == "drivers.worker_process":
            return "worker"
    return "agent" if "agent" in command else " ".join(command[:3])
