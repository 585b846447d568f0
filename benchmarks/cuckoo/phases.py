"""Where the time of a graph goes, beside what the machine could do at best in each phase.

The floor of a phase is its hashing, and each surviving edge read and written once as 8 bytes,
at the speeds that `drivers.cpu.floor` measures in this very run, one after the other.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.cuckoo.cases import Case
from benchmarks.cuckoo.peers import Peers
from drivers.cpu import floor
from drivers.cpu.cuckoo import Solver
from drivers.cpu.floor import EDGE_BYTES, Floor

MEMORY_LIMIT_BYTES = 32 << 30
GRAPHS = 5
LARGE_EDGE_BITS = 27
"""From here on fewer graphs."""


def run(cases: Sequence[Case], peers: Peers, quick: bool) -> dict[str, Any]:
    del peers
    floors = {rounds: floor.measure(_of(cases, rounds).job) for rounds in {c.rounds for c in cases}}
    measured = [(case, *measure(case, 2 if quick else GRAPHS)) for case in cases]
    return {
        "machine_floor": [
            {
                "siphash": f"{rounds[0]}-{rounds[1]}",
                "hash_ns": found.hash_nanoseconds,
                "read_gb_per_second": found.read_bytes_per_second / 1e9,
                "store_gb_per_second": found.store_bytes_per_second / 1e9,
            }
            for rounds, found in floors.items()
        ],
        "phases": [
            row
            for case, seconds, survivors in measured
            for row in _rows(case, floors[case.rounds], seconds, survivors)
        ],
    }


def _of(cases: Sequence[Case], rounds: tuple[int, int]) -> Case:
    return next(case for case in cases if case.rounds == rounds)


def measure(case: Case, graphs: int) -> tuple[dict[str, float], tuple[int, ...]]:
    """Median wall seconds of one thread by phase, and survivors of the last graph. Recovery is
    of the graphs that had a cycle, 0 if none had."""
    solver = Solver(case.edge_bits, MEMORY_LIMIT_BYTES)
    solver.solve(case.job, 0)
    taken = []
    for nonce in range(1, 1 + (graphs if case.edge_bits < LARGE_EDGE_BITS else 1)):
        solver.solve(case.job, nonce)
        taken.append(solver.phases())
    survivors = solver.survivors()
    solver.close()
    seconds = {name: statistics.median(one[name] for one in taken) for name in taken[0]}
    seconds["recovery"] = max(one["recovery"] for one in taken)
    return seconds, survivors


def floor_of(found: Floor, edge_bits: int, survivors: Sequence[int]) -> dict[str, float]:
    """Seconds of each phase at best, by its name in `Solver.phases`."""
    read, store = found.read_bytes_per_second, found.store_bytes_per_second
    hashing = found.hashing_seconds(edge_bits)
    rounds = [
        before * EDGE_BYTES / read + after * EDGE_BYTES / store
        for before, after in itertools.pairwise(survivors)
    ]
    timed = {f"round {number}": seconds for number, seconds in enumerate(rounds[:8], 1)}
    return {
        "generation": hashing + survivors[0] * EDGE_BYTES / store,
        **timed,
        "tail": sum(rounds[8:]),
        "peel": survivors[-1] * EDGE_BYTES / read,
        "recovery": hashing,
    }


def _rows(
    case: Case, found: Floor, seconds: Mapping[str, float], survivors: Sequence[int]
) -> list[dict[str, Any]]:
    best = floor_of(found, case.edge_bits, survivors)
    rows = [
        _row(case, name, took, best.get(name, 0.0)) for name, took in seconds.items() if took > 0
    ]
    usual = [name for name in seconds if name != "recovery"]
    whole = sum(seconds[name] for name in usual)
    rows.append(_row(case, "whole graph", whole, sum(best.get(name, 0.0) for name in usual)))
    rows.append(_row(case, "if traffic hid the hashing", whole, _overlapped(found, case.edge_bits)))
    return rows


def _overlapped(found: Floor, edge_bits: int) -> float:
    return max(found.hashing_seconds(edge_bits), found.traffic_seconds(edge_bits))


def _row(case: Case, phase: str, seconds: float, at_best: float) -> dict[str, Any]:
    return {
        "edge_bits": case.edge_bits,
        "siphash": case.siphash,
        "phase": phase,
        "ms": seconds * 1e3,
        "floor_ms": at_best * 1e3,
        "share_of_floor": at_best / seconds,
        "times_floor": seconds / at_best if at_best else float("nan"),
    }
