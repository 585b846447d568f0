"""Cuckaroo on the processor, against a peer that runs interleaved on the same cores.

Correctness comes first: survivors and cycles against the reference, then no cycle missed that
the peer finds. Then graphs per second and peak memory of both, in pairs of runs over the same
graphs; the solver's time by phase against the machine's own floor; and how many graphs hold a
42-cycle. Without a peer its columns say so.

A peer is a program that speaks as J. Tromp's mean solvers do (`benchmarks.cuckoo.program`):
``--peer PATH`` or ``FARMCTL_CUCKOO_PEER``, the program itself or a folder of one a size.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cuckoo import comparison, correctness, fidelity, phases
from benchmarks.cuckoo.cases import CASES, Case, choose
from benchmarks.cuckoo.peers import Peers

PEER_VARIABLE = "FARMCTL_CUCKOO_PEER"
PARTS: dict[str, Callable[[Sequence[Case], Peers, bool], dict[str, Any]]] = {
    "correctness": correctness.run,
    "comparison": comparison.run,
    "phases": phases.run,
    "fidelity": fidelity.run,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sizes = ", ".join(sorted({case.name for case in CASES}))
    peer = os.environ.get(PEER_VARIABLE)
    parser.add_argument("--peer", type=Path, default=peer, help=f"or {PEER_VARIABLE}")
    parser.add_argument("--sizes", type=_words, default=(), help=f"of {sizes}; commas between")
    parser.add_argument("--parts", type=_words, default=tuple(PARTS), help=", ".join(PARTS))
    parser.add_argument("--pairs", type=int, help="pairs of runs a size; by default its own")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def run(
    quick: bool,
    peer: Path | None = None,
    sizes: Sequence[str] = (),
    parts: Sequence[str] = tuple(PARTS),
    pairs: int | None = None,
) -> dict[str, Any]:
    """Raises `ValueError` for an unknown part or size, or a peer that is no program."""
    if unknown := set(parts) - set(PARTS):
        raise ValueError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    cases = choose(sizes, quick, pairs)
    found_peers = Peers.find(Path(peer) if peer else None)
    record: dict[str, Any] = {"peer": found_peers.describe()}
    for part in PARTS:
        if part in parts:
            record |= PARTS[part](cases, found_peers, quick)
    return record
