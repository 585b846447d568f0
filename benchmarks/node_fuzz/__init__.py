"""The node under nonsense: what it decodes (``--part rlp``) and what it is asked (``--part rpc``).

Each part runs for ten minutes (``--seconds``; ``--quick``: five seconds). Whatever is not a typed
error, an answer, or the one encoding of what was decoded ends the run, and names its seed.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from typing import Any

from benchmarks.node_fuzz.rlp import fuzz_rlp
from benchmarks.node_fuzz.rpc import fuzz_rpc

SECONDS, QUICK_SECONDS = 600.0, 5.0
PARTS: dict[str, Callable[[float, int], dict[str, Any]]] = {"rlp": fuzz_rlp, "rpc": fuzz_rpc}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--part", choices=PARTS, help="this one alone")
    parser.add_argument("--seconds", type=float, help="of each part")
    parser.add_argument("--seed", type=int, help="to see again what a run has found")


def run(
    quick: bool, part: str | None = None, seconds: float | None = None, seed: int | None = None
) -> dict[str, Any]:
    lasting = seconds or (QUICK_SECONDS if quick else SECONDS)
    chosen = random.getrandbits(32) if seed is None else seed
    return {name: [PARTS[name](lasting, chosen)] for name in ([part] if part else PARTS)}
