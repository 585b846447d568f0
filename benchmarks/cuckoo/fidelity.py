"""How many 42-cycles are found, against one in 42 graphs: a solver that loses edges finds
fewer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.cuckoo import ours, program
from benchmarks.cuckoo.cases import CORTEX, GRIN, Case
from benchmarks.cuckoo.peers import Peers

PROOF_SIZE = 42
CONFIDENCE = 0.99
#: edge bits, rounds, graphs
QUICK = ((16, CORTEX, 1_000), (19, GRIN, 500))
FULL = ((19, CORTEX, 4_200), (19, GRIN, 4_200), (22, CORTEX, 840), (24, GRIN, 168))


def run(cases: Sequence[Case], peers: Peers, quick: bool) -> dict[str, Any]:
    del cases, peers
    return {"fidelity": [measure(*kind) for kind in (QUICK if quick else FULL)]}


def measure(edge_bits: int, rounds: tuple[int, int], graphs: int) -> dict[str, Any]:
    """Graphs from nonce 0 on."""
    run = program.run(ours.command(edge_bits, rounds), 0, graphs - 1, 1)
    least, most = interval(graphs)
    return {
        "edge_bits": edge_bits,
        "siphash": f"{rounds[0]}-{rounds[1]}",
        "graphs": graphs,
        "cycles": len(run.cycles),
        "expected": graphs / PROOF_SIZE,
        "least": least,
        "most": most,
        "within": least <= len(run.cycles) <= most,
    }


def interval(graphs: int, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Counts between which that many graphs' cycles fall with at least this confidence. Cycles
    of a graph are as good as Poisson distributed, with mean 1/42."""
    mean, tail = graphs / PROOF_SIZE, (1 - confidence) / 2
    below, least, count = 0.0, 0, 0
    while below < 1 - tail:
        below += math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
        least = least if below > tail else count + 1
        count += 1
    return least, count - 1
