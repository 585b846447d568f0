"""Blocks imported per second, from bytes: full validation, execution, one durable write each.

The blocks are mined for real, on graphs of 2^10 edges so that making them is quick; what is
timed is another node taking them in from the beginning. Afterwards both must agree on the head.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch
from farmctl.cycles import verify_cycle
from node.chains.farmnet import FARMNET
from node.core import Node
from node.importing import Outcome
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.crypto import private_address
from node.spec.seal import meets_target
from node.spec.types import Block, Transaction
from node.spec.vm import fast
from node.spec.vm.frame import Interpret

EDGE_BITS = 10
BLOCK_SECONDS = 4
KEY, OTHER_KEY = b"\x11" * 32, b"\x22" * 32
ALLOC = {private_address(key): 10**24 for key in (KEY, OTHER_KEY)}
GENESIS = replace(FARMNET.genesis, difficulty=2, alloc=ALLOC)
CHAIN = replace(FARMNET, name="benchmark", edge_bits=EDGE_BITS, genesis=GENESIS)

#: name, blocks, transfers in each
QUICK = (("empty", 100, 0), ("transfers", 10, 100))
FULL = (("empty", 400, 0), ("transfers", 20, 100), ("transfers", 8, 250))


def run(quick: bool) -> dict[str, Any]:
    rows = [measure(*case) for case in (QUICK if quick else FULL)]
    return {"edge_bits": EDGE_BITS, "store": "lmdb, a durable commit a block", "rows": rows}


def measure(name: str, count: int, transfers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        source, sink = (open_node(Path(folder) / name, clock) for name in ("source", "sink"))
        blocks = [make_block(source, clock, number, transfers) for number in range(count)]
        seconds = import_timed(sink, blocks, time.perf_counter)
        if sink.head() != source.head():
            raise RuntimeError("the nodes do not agree")
        for node in (source, sink):
            node.close()
    return {
        "blocks": name,
        "count": count,
        "transfers_each": transfers,
        "blocks_per_second": count / seconds,
        "transfers_per_second": count * transfers / seconds,
    }


def import_timed(
    node: Node, blocks: list[Block], clock: Callable[[], float] = time.process_time
) -> float:
    """Seconds that a node takes to import blocks from their bytes."""
    received = [block.encode() for block in blocks]
    started = clock()
    for block in map(Block.decode, received):
        if node.import_block(block) is not Outcome.HEAD:
            raise RuntimeError(f"block {block.header.number} did not become the head")
    return clock() - started


class Clock:
    """Each block's time is `BLOCK_SECONDS` after the last, so that the difficulty stays."""

    def __init__(self, now: float = 1_600_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def open_node(home: Path, clock: Clock, interpret: Interpret = fast.interpret) -> Node:
    loader = GraphLoader(DirectoryStorage(home / "models"))
    return Node(
        CHAIN,
        home,
        loader,
        ReferenceEngine(loader),
        bytes(20),
        verify_cycle,
        clock,
        interpret=interpret,
    )


def make_block(node: Node, clock: Clock, number: int, transfers: int) -> Block:
    nonces = range(number * transfers, (number + 1) * transfers)
    unsigned = (Transaction(n, 1, 21_000, (n + 1).to_bytes(20, "big"), 1, b"") for n in nonces)
    return mine(node, clock, (t.sign(KEY, CHAIN.chain_id) for t in unsigned))


def mine(node: Node, clock: Clock, transactions: Iterable[Transaction]) -> Block:
    """A block of these transactions, in the node that it is mined by."""
    clock.now += BLOCK_SECONDS
    for transaction in transactions:
        node.send(transaction)
    package = node.refresh_work()
    nonce, edges = solve(package.block)
    return node.submit(package.seal_hash, nonce, edges)


def solve(block: Block) -> tuple[int, tuple[int, ...]]:
    job = CuckooJob(block.header.seal_hash(), EDGE_BITS)
    with closing(CuckooSearch(1, 1 << 26)) as search:
        for first in itertools.count(0, 64):
            for cycle in search.search(job, first, 64, lambda: False)[1]:
                if meets_target(cycle.edges, block.header.difficulty):
                    return cycle.nonce, cycle.edges
    raise RuntimeError("unreachable")
