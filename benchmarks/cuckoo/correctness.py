"""Ours against the reference without tricks, then against what the peer finds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.cuckoo import ours, program
from benchmarks.cuckoo.cases import CORTEX, GRIN, HEADER, Case
from benchmarks.cuckoo.comparison import Pair, check
from benchmarks.cuckoo.peers import Peers
from drivers.base import Capability, CuckooJob
from drivers.cpu.cuckoo import CuckooSearch, Solver
from drivers.kernels import reference
from drivers.kernels.graphs import NonceForm
from drivers.selftest import check as check_known_answer

MEMORY_LIMIT_BYTES = 1 << 30
SMALL_EDGE_BITS = (10, 11, 12, 13, 14)
#: Small graphs have more short cycles than long ones.
PROOF_SIZES = (4, 8, 12, 42)
#: Edge bits of the graphs whose survivors are counted, all of one seed.
QUICK_SURVIVORS, SURVIVORS = (16, 18), (16, 18, 19, 20, 21)
SURVIVOR_NONCE = 7
#: Of the size at which peers are asked for cycles.
PEER_EDGE_BITS = 19
#: Graphs in which the peer found a cycle, and how many a run searches for them.
QUICK_PEER_SOLVED, PEER_SOLVED, PEER_RUN_GRAPHS = 5, 200, 420


class Incorrect(RuntimeError):
    """Ours is wrong; there is no use in timing it."""


def run(cases: Sequence[Case], peers: Peers, quick: bool) -> dict[str, Any]:
    """Raises `Incorrect` at the first difference."""
    search = CuckooSearch(1, MEMORY_LIMIT_BYTES)
    known = check_known_answer(search, Capability.CUCKOO)
    search.close()
    rows = [
        {"what": "known answer", "compared": known, "cycles": 1},
        check_small_graphs(200 if quick else 2_000),
        check_survivors(QUICK_SURVIVORS if quick else SURVIVORS),
        check_peer(cases, peers, QUICK_PEER_SOLVED if quick else PEER_SOLVED),
    ]
    return {"correctness": rows}


def check_small_graphs(graphs: int) -> dict[str, Any]:
    """The same cycles in the same order in so many graphs of `SMALL_EDGE_BITS`."""
    kinds = list(itertools.product(SMALL_EDGE_BITS, (CORTEX, GRIN), PROOF_SIZES))
    cycles = 0
    for kind, (edge_bits, rounds, proof_size) in enumerate(kinds):
        job = CuckooJob(HEADER, edge_bits, rounds, proof_size, nonce_form=NonceForm.TROMP)
        cycles += _compare_cycles(job, range(kind, graphs, len(kinds)))
    return {"what": "cycles of small graphs", "compared": f"{graphs} graphs", "cycles": cycles}


def _compare_cycles(job: CuckooJob, nonces: range) -> int:
    solver = Solver(job.edge_bits, MEMORY_LIMIT_BYTES)
    cycles = 0
    for nonce, graph in zip(nonces, reference.hash_graphs(job, nonces), strict=True):
        expected = graph.cycles()
        found = [cycle.edges for cycle in solver.solve(job, nonce) or []]
        if found != expected:
            raise Incorrect(f"{job}, nonce {nonce}: {len(found)} cycles, not {len(expected)}")
        cycles += len(found)
    solver.close()
    return cycles


def check_survivors(sizes: Iterable[int]) -> dict[str, Any]:
    """Edges left after each round of fixed graphs."""
    compared = 0
    for edge_bits, rounds in itertools.product(sizes, (CORTEX, GRIN)):
        job = CuckooJob(HEADER, edge_bits, rounds, nonce_form=NonceForm.TROMP)
        solver = Solver(edge_bits, MEMORY_LIMIT_BYTES)
        solver.solve(job, SURVIVOR_NONCE)
        found = solver.survivors()
        solver.close()
        expected = reference.hash_graph(job, SURVIVOR_NONCE).survivors(len(found) - 1)
        if found != expected:
            raise Incorrect(f"{job}: survivors {found}, not {expected}")
        compared += len(found) - 1
    return {"what": "survivors", "compared": f"{compared} rounds", "cycles": 0}


def check_peer(cases: Sequence[Case], peers: Peers, solved: int) -> dict[str, Any]:
    """None missed in so many graphs in which the peer found a cycle."""
    what = "graphs that the peer solved"
    case = next((c for c in cases if c.edge_bits == PEER_EDGE_BITS and peers.of(c)), None)
    peer = peers.of(case) if case else None
    if case is None or peer is None:
        reason = peers.reason or f"no peer of {PEER_EDGE_BITS} edge bits was measured"
        return {"what": what, "compared": f"absent: {reason}", "cycles": 0}
    mine = ours.command(case.edge_bits, case.rounds)
    found: set[tuple[int, tuple[int, ...]]] = set()
    most = 3 * 42 * solved + PEER_RUN_GRAPHS
    for first in range(0, most, PEER_RUN_GRAPHS + 1):
        runs = [program.run(c, first, PEER_RUN_GRAPHS, 1) for c in (mine, peer)]
        check(case, Pair(*runs))
        found |= runs[1].cycles
        if len({nonce for nonce, _ in found}) >= solved:
            searched = first + PEER_RUN_GRAPHS + 1
            compared = f"{solved} of {searched} graphs of {PEER_EDGE_BITS} edge bits"
            return {"what": what, "compared": compared, "cycles": len(found)}
    raise Incorrect(f"the peer printed {len(found)} cycles in {most} graphs")
