"""Graphs per second and peak memory, ours and the peer's, in pairs of runs on the same graphs.

The two programs run one after the other on the same cores, in turns first and second. One
thread is compared by processor time, which other work on the machine hardly touches; several
threads by wall time, which it does.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cuckoo import ours, program
from benchmarks.cuckoo.cases import Case
from benchmarks.cuckoo.peers import Peers
from benchmarks.cuckoo.program import Run
from drivers.cpu import cuckoo

ABSENT = "absent"
MOST_THREADS = 2


@dataclass(frozen=True)
class Pair:
    """A run of ours and, where there is a peer, one of its on the same graphs."""

    ours: Run
    peer: Run | None

    def ratio(self, threads: int) -> float | None:
        """How many times as fast ours was."""
        return (
            None if self.peer is None else seconds(self.peer, threads) / seconds(self.ours, threads)
        )


def run(cases: Sequence[Case], peers: Peers, quick: bool) -> dict[str, Any]:
    """Raises `RuntimeError` where ours missed a cycle of the peer's."""
    most = min(MOST_THREADS, len(os.sched_getaffinity(0)))
    rows, raw = [], []
    for case in cases:
        for threads in range(1, most + 1):
            pairs = [pair(case, peers, threads, number) for number in range(case.pairs)]
            rows.append(summarise(case, threads, pairs))
            raw.append({"case": case.name, "threads": threads, "pairs": [*map(_raw, pairs)]})
    return {"rows": rows, "runs": {"by_case": raw}}


def pair(case: Case, peers: Peers, threads: int, number: int) -> Pair:
    """Run both on the graphs of the pair's number."""
    first_nonce = number * (case.graphs + 2 * threads)
    mine, theirs = ours.command(case.edge_bits, case.rounds), peers.of(case)
    commands = [mine, theirs] if number % 2 else [theirs, mine]
    runs = {
        command is mine: program.run(command, first_nonce, case.graphs, threads)
        for command in commands
        if command is not None
    }
    found = Pair(runs[True], runs.get(False))
    check(case, found)
    _tell(case, threads, number, found)
    return found


def _tell(case: Case, threads: int, number: int, found: Pair) -> None:
    """A line a pair, for whoever waits."""
    ratio = found.ratio(threads)
    against = ABSENT if ratio is None else f"{ratio:.2f} times the peer"
    took = f"{seconds(found.ours, threads):.4g} s a graph"
    what = f"{case.name}, threads {threads}, pair {number + 1} of {case.pairs}"
    print(f"{what}: {took}, {against}", file=sys.stderr, flush=True)


def check(case: Case, found: Pair) -> None:
    """Each of our cycles must be one, and each of the peer's among ours. Raises `RuntimeError`."""
    for nonce, edges in found.ours.cycles:
        if cuckoo.verify(case.job, nonce, edges) is not cuckoo.Proof.OK:
            raise RuntimeError(f"{case.name}: ours gave a wrong cycle for nonce {nonce}")
    for nonce, edges in missed(found):
        proof = cuckoo.verify(case.job, nonce, edges)
        what = "missed a cycle" if proof is cuckoo.Proof.OK else f"cannot verify ({proof.name})"
        raise RuntimeError(f"{case.name}: ours {what} that the peer found for nonce {nonce}")


def missed(found: Pair) -> frozenset[tuple[int, tuple[int, ...]]]:
    return frozenset() if found.peer is None else found.peer.cycles - found.ours.cycles


def seconds(run: Run, threads: int) -> float:
    """What is compared: of a graph, by the clock that fits the number of threads."""
    return run.processor_seconds_each if threads == 1 else run.wall_seconds_each


def summarise(case: Case, threads: int, pairs: Sequence[Pair]) -> dict[str, Any]:
    mine = [seconds(p.ours, threads) for p in pairs]
    theirs = [seconds(p.peer, threads) for p in pairs if p.peer]
    ratios = [ratio for p in pairs if (ratio := p.ratio(threads)) is not None]
    memory = max(p.ours.peak_bytes for p in pairs)
    peer_memory = max((p.peer.peak_bytes for p in pairs if p.peer), default=0)
    return {
        "edge_bits": case.edge_bits,
        "siphash": case.siphash,
        "threads": threads,
        "clock": "processor" if threads == 1 else "wall",
        "ours_median_s": statistics.median(mine),
        "ours_least_s": min(mine),
        "graphs_per_second": 1 / statistics.median(mine),
        "peer_median_s": statistics.median(theirs) if theirs else ABSENT,
        "peer_least_s": min(theirs) if theirs else ABSENT,
        "ratio_median": statistics.median(ratios) if ratios else ABSENT,
        "ratio_least": min(ratios) if ratios else ABSENT,
        "ratio_most": max(ratios) if ratios else ABSENT,
        "memory_mb": memory / 1e6,
        "peer_memory_mb": peer_memory / 1e6 if theirs else ABSENT,
        "memory_ratio": memory / peer_memory if theirs else ABSENT,
        "cycles": len(frozenset().union(*(p.ours.cycles for p in pairs))),
    }


def _raw(pair: Pair) -> dict[str, Any]:
    """Of the record that is kept: seconds a graph of each run."""

    def times(run: Run | None) -> dict[str, float] | str:
        if run is None:
            return ABSENT
        return {"processor_s": run.processor_seconds_each, "wall_s": run.wall_seconds_each}

    return {"ours": times(pair.ours), "peer": times(pair.peer)}
