"""Carries out a plan on a device: one graph after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import WrongAnswer
from drivers.kernels.gpu.launcher import Launcher
from drivers.kernels.gpu.layout import (
    DROPPED,
    EDGE_BYTES,
    FOUND,
    FOUND_COUNT,
    JOB,
    SEGMENT,
    STEP,
    SURVIVORS,
)
from drivers.kernels.gpu.plan import MAX_FOUND, MAX_WANTED, Plan

Entries = NDArray[np.uint64]
"""Edges as v << 32 | u."""


@dataclass(frozen=True)
class Trimmed:
    """What trimming left of a graph."""

    survivors: tuple[int, ...]
    """Edges there are, and edges left after each round."""
    lost: int
    """Edges for which a bucket had no room. Cycles through them are missed."""
    entries: Entries


class Trimmer:
    """One graph at a time on one launcher, whose memory it takes for itself."""

    def __init__(self, launcher: Launcher, plan: Plan) -> None:
        """Raises `OutOfMemory`."""
        self.plan = plan
        self._launcher = launcher
        self._base = launcher.allocate(plan.memory_bytes)
        self.job = self._base + plan.places["job"]
        launcher.write(self.job, self._describe())
        self._write("segments", [(s.offset % 2**64, s.capacity) for s in plan.segments], SEGMENT)
        self._write("steps", [astuple(step) for step in plan.steps], STEP)
        self._trim = launcher.prepare(plan.launches, self.job)
        self._recover = launcher.prepare([plan.recovery], self.job)

    def start(self, keys: Sequence[int]) -> None:
        """Queue a graph, and do not wait for it."""
        self._set("keys", keys)
        self._trim()

    def wait(self) -> Trimmed:
        """What is left of the started graph. Worth nothing after a stop."""
        rounds = self.plan.shape.rounds
        counters = self._counters(SURVIVORS + rounds + 1)
        survivors = tuple(counters[SURVIVORS:].tolist())
        left = min(survivors[-1], self.plan.list_capacity)
        first = self.plan.last_list * self.plan.list_capacity
        address = self._base + self.plan.lists + first * EDGE_BYTES
        entries = self._launcher.read(address, left * EDGE_BYTES).view(np.uint64)
        return Trimmed(survivors, int(counters[DROPPED]), entries)

    def recover(self, wanted: Entries) -> Mapping[int, list[int]]:
        """Numbers, ascending, of the edges with each of the wanted ends."""
        numbers: dict[int, list[int]] = {}
        ascending = np.unique(wanted)
        for first in range(0, len(ascending), MAX_WANTED):
            for entry, edge in self._recover_some(ascending[first : first + MAX_WANTED]):
                numbers.setdefault(entry, []).append(edge)
        return {entry: sorted(edges) for entry, edges in numbers.items()}

    def stop(self, stopped: bool) -> None:
        """From any thread: end the launches that are queued, each as soon as it starts."""
        address = self.job + JOB.fields["stop"][1]  # type: ignore[index]
        self._launcher.write_at_once(address, np.array([stopped], np.uint32))

    def close(self) -> None:
        self._launcher.close()

    def _recover_some(self, wanted: Entries) -> list[tuple[int, int]]:
        self._launcher.write(self._base + self.plan.places["wanted"], wanted)
        self._set("wanted_count", len(wanted))
        address = self._base + self.plan.places["counters"] + FOUND_COUNT * 8
        self._launcher.write(address, np.zeros(1, np.uint64))
        self._recover()
        count = int(self._counters(FOUND_COUNT + 1)[FOUND_COUNT])
        if count > MAX_FOUND:
            raise WrongAnswer(f"{count} edges have the ends of {len(wanted)} edges")
        place = self._base + self.plan.places["found"]
        found = self._launcher.read(place, count * FOUND.itemsize).view(FOUND)
        return [(int(entry), int(edge)) for entry, edge in found]

    def _counters(self, count: int) -> Entries:
        address = self._base + self.plan.places["counters"]
        return self._launcher.read(address, count * 8).view(np.uint64)

    def _set(self, field: str, value: object) -> None:
        """Set one field of the job when what was queued before is done."""
        kind, offset = JOB.fields[field][:2]  # type: ignore[index]
        self._launcher.write(self.job + offset, np.array(value, kind.base))

    def _write(self, place: str, rows: Sequence[tuple[int, ...]], kind: np.dtype[np.void]) -> None:
        self._launcher.write(self._base + self.plan.places[place], np.array(list(rows), kind))

    def _describe(self) -> NDArray[np.void]:
        plan, job = self.plan, np.zeros(1, JOB)
        job["edge_bits"], job["pair"] = plan.graphs.edge_bits, plan.graphs.cycle.pair
        job["bucket_bits"] = plan.shape.bucket_bits
        job["found_capacity"] = MAX_FOUND
        for name in ("arena", "segments", "steps", "counters", "counts", "wanted", "found"):
            job[name] = self._base + plan.places[name]
        job["counter_words"] = plan.counter_words
        job["bitmaps"], job["bitmap_words"] = self._base + plan.bitmaps, plan.bitmap_words
        job["lists"], job["list_capacity"] = self._base + plan.lists, plan.list_capacity
        return job
