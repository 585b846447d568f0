"""Graphs per second of the CPU's Cuckaroo solver, one thread, by edge bits.

Every cycle found passed the verifier; before anything is timed the solver must give the known
answer. Times are CPU seconds of this process, so that a busy machine does not count.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from drivers.base import Capability, CuckooJob
from drivers.cpu.cuckoo import CuckooSearch, Solver
from drivers.selftest import check

HEADER = bytes(range(32))
MEMORY_LIMIT_BYTES = 4 << 30
CORTEX, GRIN = (4, 8), (2, 4)

#: edge bits, rounds, graphs
QUICK = ((14, CORTEX, 84), (18, CORTEX, 42), (19, GRIN, 20))
FULL = (
    *((14, CORTEX, 420), (16, CORTEX, 210), (18, CORTEX, 126), (19, CORTEX, 84), (20, CORTEX, 42)),
    *((22, CORTEX, 12), (24, CORTEX, 5), (27, CORTEX, 2)),
    *((19, GRIN, 84), (24, GRIN, 5), (27, GRIN, 2)),
)


def run(quick: bool) -> dict[str, Any]:
    search = CuckooSearch(1, MEMORY_LIMIT_BYTES)
    known = check(search, Capability.CUCKOO)
    search.close()
    return {"checked": known, "rows": [measure(*case) for case in (QUICK if quick else FULL)]}


def measure(edge_bits: int, rounds: tuple[int, int], graphs: int) -> dict[str, Any]:
    job = CuckooJob(HEADER, edge_bits, rounds)
    solver = Solver(edge_bits, MEMORY_LIMIT_BYTES)
    solver.solve(job, graphs)
    seconds, cycles = [], 0
    for nonce in range(graphs):
        started = time.process_time()
        cycles += len(solver.solve(job, nonce) or [])
        seconds.append(time.process_time() - started)
    solver.close()
    return {
        "edge_bits": edge_bits,
        "siphash": "-".join(map(str, rounds)),
        "graphs": graphs,
        "cycles": cycles,
        "cycles_expected": graphs / job.proof_size,
        "median_ms": statistics.median(seconds) * 1e3,
        "least_ms": min(seconds) * 1e3,
        "graphs_per_second": 1 / statistics.median(seconds),
    }
