"""Copies found among models, and how often models made apart are taken for copies.

Small CNNs are trained on the same digits from different seeds (every pair is made apart), and each
of some is copied: renamed, channels permuted, scaled, rounded to 6 bits, with noise, trained on.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.likeness import copies
from benchmarks.likeness.copies import Network
from node.models.fingerprint import fingerprint
from node.models.likeness import COPY_COSINE, Kind, Likeness, compare
from node.spec.cvm import Graph

SEEDS, QUICK_SEEDS = 32, 4
COPIED, QUICK_COPIED = 12, 2
HALF = 1

Copy = Callable[[Network], Graph]

COPIES: dict[str, Copy] = {
    "renamed and reordered": lambda n: copies.graph(n, "other_", swap=True),
    "channels permuted": lambda n: copies.graph(copies.permute(n)),
    "scaled channel by channel": lambda n: copies.graph(copies.rescale(n)),
    "permuted and scaled": lambda n: copies.graph(copies.rescale(copies.permute(n))),
    "rounded to 6 bits": lambda n: copies.graph(n, bits=6),
    "noise of 10 %": lambda n: copies.graph(copies.add_noise(n, 0.1)),
    "noise of 30 %": lambda n: copies.graph(copies.add_noise(n, 0.3)),
    "permuted, noise of 10 %": lambda n: copies.graph(copies.add_noise(copies.permute(n), 0.1)),
    "trained on, 1 epoch": lambda n: copies.graph(copies.train(1, 1, n)),
    "trained on, 8 epochs": lambda n: copies.graph(copies.train(1, 8, n)),
    "permuted, trained on 8 epochs": lambda n: copies.graph(copies.train(1, 8, copies.permute(n))),
    "trained on with half the digits, 20 epochs": lambda n: copies.graph(
        copies.train(1, 20, n, HALF)
    ),
}


def run(quick: bool) -> dict[str, Any]:
    networks = [copies.train(seed) for seed in range(QUICK_SEEDS if quick else SEEDS)]
    apart = [
        compare(fingerprint(copies.graph(a)), fingerprint(copies.graph(b)))
        for a, b in itertools.combinations(networks, 2)
    ]
    copied = networks[: QUICK_COPIED if quick else COPIED]
    started = time.process_time()
    rows = [summarise("made apart, one architecture", apart, copy=False)]
    for name, copy in COPIES.items():
        found = [compare(fingerprint(copies.graph(n)), fingerprint(copy(n))) for n in copied]
        rows.append(summarise(name, found, copy=True))
    return {
        "threshold_cosine": COPY_COSINE,
        "seconds": time.process_time() - started,
        "rows": rows,
    }


def summarise(name: str, found: list[Likeness], copy: bool) -> dict[str, Any]:
    cosines = [each.cosine for each in found]
    reported = sum(each.is_copy for each in found)
    kinds = statistics.mode(Kind(each.kind) for each in found)
    return {
        "pair": name,
        "pairs": len(found),
        "reported": reported,
        "wrong": len(found) - reported if copy else reported,
        "least_cosine": min(cosines),
        "median_cosine": statistics.median(cosines),
        "most_cosine": max(cosines),
        "kind": str(kinds),
    }
