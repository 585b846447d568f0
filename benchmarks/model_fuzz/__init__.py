"""Parsers of models under damage: symbols, params, .npy inputs, flat programs, packed plans.

A child process takes one damaged case after another, within a limit of memory; whatever is not a
typed refusal or an answer equal to the reference's is a finding: another exception, a crash, a
difference, a case that takes too long. ``--seconds`` says how long (600), ``--first`` where the
numbers of the cases begin: a finding's number makes it again.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.model_fuzz.children import Child, Finding

SECONDS, QUICK_SECONDS = 600.0, 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=None, help="how long (default: 600)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")


def run(quick: bool, seconds: float | None = None, first: int = 0) -> dict[str, Any]:
    findings: list[Finding] = []
    counts: dict[str, int] = {}
    deadline = time.monotonic() + (seconds or (QUICK_SECONDS if quick else SECONDS))
    number, peak_bytes = first, 0
    while time.monotonic() < deadline:
        with Child(number) as child:
            for number, outcome in child.outcomes(deadline):
                if isinstance(outcome, Finding):
                    print(f"finding in case {number}: {outcome.reason}")
                    findings.append(outcome)
                else:
                    counts[outcome] = counts.get(outcome, 0) + 1
            peak_bytes = max(peak_bytes, child.peak_bytes)
        number += 1
    rows = [{"outcome": name, "cases": count} for name, count in sorted(counts.items())]
    return {
        "cases": sum(counts.values()) + len(findings),
        "findings": [{"case": each.number, "reason": each.reason} for each in findings],
        "peak_megabytes": peak_bytes / 1e6,
        "rows": rows,
    }
