"""A campaign: blocks of models by number, each in a child process for each instruction set.

Counts are kept after every block, so that a campaign that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.infer_fuzz.backends import find_isas
from drivers.cpu.library import ISA_VARIABLE

MODELS_PER_BLOCK = 200
BLOCK_SECONDS = 600
MOST_TOLD = 20
#: Blocks that bring no case, as where every child breaks or refuses all; then it ends.
MOST_EMPTY = 10


@dataclass(frozen=True)
class Campaign:
    """``devices`` are fuzzed until there are so many cases; ``jobs`` child processes at once."""

    seed: int
    cases: int
    devices: tuple[str, ...]
    jobs: int
    state: Path


@dataclass(frozen=True)
class Order:
    """A block on the processor held to an instruction set, or on the other devices."""

    block: int
    isa: str
    devices: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.block} {self.isa or 'devices'}"


def run_campaign(campaign: Campaign) -> dict[str, Any]:
    """Run or go on with a campaign; gives its counts. A child process that breaks or hangs
    counts as one mismatch, told with its last line."""
    state = _read_state(campaign)
    orders = (each for each in _list_orders(campaign) if each.key not in state["done"])
    started = time.monotonic() - state["seconds"]
    empty = 0
    with ThreadPoolExecutor(campaign.jobs) as pool:
        running: dict[Future[dict[str, Any]], Order] = {}
        while True:
            is_wanted = state["total"] < campaign.cases and empty < MOST_EMPTY
            while is_wanted and len(running) < campaign.jobs:
                order = next(orders)
                running[pool.submit(_run_order, campaign.seed, order)] = order
            if not running:
                return state
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                found = future.result()
                empty += not found["cases"]
                _take_in(state, running.pop(future), found)
                state["seconds"] = time.monotonic() - started
                _write_state(campaign, state)


def _list_orders(campaign: Campaign) -> Iterator[Order]:
    processors = tuple(d for d in campaign.devices if d.startswith("cpu:"))
    others = tuple(d for d in campaign.devices if not d.startswith("cpu:"))
    isas = find_isas() if processors else ()
    for block in count():
        for isa in isas:
            yield Order(block, isa, processors)
        if others:
            yield Order(block, "", others)


def _run_order(seed: int, order: Order) -> dict[str, Any]:
    module = "benchmarks.infer_fuzz.block"
    numbers = map(str, (seed, order.block, MODELS_PER_BLOCK))
    environment = dict(os.environ) | ({ISA_VARIABLE: order.isa} if order.isa else {})
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *numbers, *order.devices],
            env=environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _broken(order, None, f"no answer in {BLOCK_SECONDS:g} s")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        return _broken(order, done.returncode, last[0])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _broken(order: Order, status: int | None, why: str) -> dict[str, Any]:
    told = {"block": order.block, "status": status, "broke": why}
    return {"cases": {}, "refused": {}, "mismatches": 1, "told": [told]}


def _take_in(state: dict[str, Any], order: Order, found: dict[str, Any]) -> None:
    state["done"].append(order.key)
    state["total"] += sum(found["cases"].values())
    state["mismatches"] += found["mismatches"]
    for name in ("cases", "refused"):
        state[name] = dict(Counter(state[name]) + Counter(found[name]))
    told = [{"isa": order.isa, **each} for each in found["told"]]
    state["told"] = [*state["told"], *told][:MOST_TOLD]


def _read_state(campaign: Campaign) -> dict[str, Any]:
    """What a campaign of this seed and these devices has done so far."""
    fresh: dict[str, Any] = {
        "seed": campaign.seed,
        "fuzzed": list(campaign.devices),
        "done": [],
        "total": 0,
        "mismatches": 0,
        "seconds": 0.0,
        "cases": {},
        "refused": {},
        "told": [],
    }
    if not campaign.state.exists():
        return fresh
    kept: dict[str, Any] = json.loads(campaign.state.read_text())
    same = all(kept[key] == fresh[key] for key in ("seed", "fuzzed"))
    return kept if same else fresh


def _write_state(campaign: Campaign, state: dict[str, Any]) -> None:
    campaign.state.parent.mkdir(parents=True, exist_ok=True)
    new = campaign.state.with_suffix(".new")
    new.write_text(json.dumps(state, indent=1) + "\n")
    new.replace(campaign.state)
