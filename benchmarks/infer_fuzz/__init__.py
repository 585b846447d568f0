"""Random integer models on every device here, instruction set and number of threads, against the
reference: operators with extreme values and awkward shapes, alone and fused.

A case is an operator's output on one backend (device, instruction set, threads), equal to the bit
for each of three inputs. The campaign goes on where it was stopped; another ``--seed`` begins anew.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

CASES, QUICK_CASES = 1_000_000, 20_000
STATE = Path(__file__).parents[1] / "results" / "local" / "infer_fuzz_state.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cases", type=int, help="how many in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--devices", nargs="*", help="only these, as cpu:0")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--state", type=Path, default=STATE, help="file that counts are kept in")


def run(
    quick: bool,
    cases: int | None = None,
    seed: int = 1,
    devices: list[str] | None = None,
    jobs: int | None = None,
    state: Path = STATE,
) -> dict[str, Any]:
    """Raises `ValueError` where there is nothing to fuzz."""
    from benchmarks.infer_fuzz.backends import find_devices
    from benchmarks.infer_fuzz.campaign import Campaign, run_campaign

    wanted = cases or (QUICK_CASES if quick else CASES)
    chosen = tuple(devices or find_devices())
    if not chosen:
        raise ValueError("no device here infers; `farmctl doctor` says why")
    found = run_campaign(Campaign(seed, wanted, chosen, jobs or os.cpu_count() or 1, state))
    operators = sorted(found["cases"].items())
    rows = [{"operator": name, "cases": number} for name, number in operators]
    kept = {key: found[key] for key in ("seed", "fuzzed", "total", "mismatches", "seconds")}
    return {**kept, "rows": rows, "refused": found["refused"], "told": found["told"]}
