"""What keeping fewer states saves and costs: the same chain taken in as an archive and pruned.

A slice of pruning is done after each block, as the node does it beside its imports; times are
processor time of the one thread. At the end the store is read whole, as after a loss of power.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.blocks import Made, find_chain
from benchmarks.node import CHAIN
from farmctl.cycles import verify_cycle
from node.core import Node
from node.importing import Outcome
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.types import Block
from node.store.recovery import DATA, find_damage

COUNT, QUICK_COUNT = 10_000, 300
#: States kept; 0 keeps all.
FULL, QUICK = (0, 8192, 1024, 128), (0, 32)
QUICK_NODES = 500


@dataclass
class Spent:
    """Processor seconds."""

    importing: float = 0
    pruning: float = 0
    longest_slice: float = 0
    slices: int = 0


def run(quick: bool) -> dict[str, Any]:
    made = find_chain("transfers", QUICK_COUNT if quick else COUNT)
    return {"rows": [measure(made, keep, quick) for keep in (QUICK if quick else FULL)]}


def measure(made: Made, keep: int, quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        node = open_pruned(Path(folder), keep, quick)
        spent = take_in(node, made)
        nodes = node.store.count("nodes")
        oldest = node.store.oldest_state()
        node.close()
        began = time.perf_counter()
        damage = find_damage(Path(folder) / "chain")
        if damage:
            raise RuntimeError(f"the store is not whole: {damage}")
        checked = time.perf_counter() - began
        size = (Path(folder) / "chain" / DATA).stat().st_size
    return {
        "states_kept": keep or "all",
        "blocks": made.count,
        "store_megabytes": size / 1e6,
        "state_nodes": nodes,
        "oldest_state": oldest,
        "import_cpu_milliseconds_each": spent.importing / made.count * 1000,
        "pruning_cpu_milliseconds_each": spent.pruning / made.count * 1000,
        "slices": spent.slices,
        "longest_slice_milliseconds": spent.longest_slice * 1000,
        "full_check_seconds": checked,
    }


def open_pruned(home: Path, keep: int, quick: bool) -> Node:
    loader = GraphLoader(DirectoryStorage(home / "models"))
    engine = ReferenceEngine(loader)
    node = Node(CHAIN, home, loader, engine, bytes(20), verify_cycle, keep_states=keep)
    if quick and keep:
        node.pruner = node.store.pruner(keep, QUICK_NODES)
    return node


def take_in(node: Node, made: Made) -> Spent:
    spent = Spent()
    for raw in made.read():
        began = time.process_time()
        if node.import_block(Block.decode(raw)) is not Outcome.HEAD:
            raise RuntimeError("a block did not become the head")
        between = time.process_time()
        spent.slices += node.pruner.step()
        slice_seconds = time.process_time() - between
        spent.importing += between - began
        spent.pruning += slice_seconds
        spent.longest_slice = max(spent.longest_slice, slice_seconds)
    while node.pruner.step():
        spent.slices += 1
    return spent
