"""Runs taken in turn, so that what else the machine does falls on all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LEAST_ROUNDS, MOST_ROUNDS = 5, 100
PAUSE_SECONDS, MOST_PAUSES = 0.005, 40


@dataclass(frozen=True)
class Times:
    """Milliseconds of one run: CPU time of the whole process, and by the clock on the wall."""

    cpu_ms_least: float
    cpu_ms_median: float
    wall_ms_least: float
    wall_ms_median: float
    rounds: int


def take_turns(runs: Mapping[str, Callable[[], object]], budget_seconds: float) -> dict[str, Times]:
    """Each run once a round, for as many rounds as the budget allows (at least five); the first
    round, which warms up and tells how long one takes, is left out."""
    started = time.perf_counter()
    for run in runs.values():
        run()
    round_seconds = time.perf_counter() - started
    rounds = max(LEAST_ROUNDS, min(MOST_ROUNDS, int(budget_seconds / round_seconds)))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            settle()
            found[name].append(clock(run))
    return {name: _summarise(samples) for name, samples in found.items()}


def settle() -> None:
    """Waits until the last engine's idle threads no longer spin, for 0.2 s at most."""
    for _ in range(MOST_PAUSES):
        before = time.process_time()
        time.sleep(PAUSE_SECONDS)
        if time.process_time() - before < PAUSE_SECONDS / 10:
            return


def clock(run: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of one run."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def _summarise(samples: list[tuple[float, float]]) -> Times:
    cpu, wall = ([1e3 * seconds for seconds in column] for column in zip(*samples, strict=True))
    return Times(min(cpu), statistics.median(cpu), min(wall), statistics.median(wall), len(samples))
