"""A small real network for tests: graphs of 2^10 edges, mined and verified natively."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch
from farmctl.cycles import verify_cycle
from node.chains.farmnet import FARMNET
from node.core import Node
from node.inference import InferEngine, ReferenceEngine
from node.mempool import PoolLimits
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.chain import Chain
from node.spec.crypto import private_address
from node.spec.cvm.writer import ModelWriter
from node.spec.seal import meets_target
from node.spec.types import Block, Header, Transaction

COIN = 10**18
EDGE_BITS = 10
#: A block each so many seconds leaves the difficulty as it is.
BLOCK_SECONDS = 4
START = 1_800_000_000

RICH_KEY = b"\x11" * 32
RICH = private_address(RICH_KEY)
POOR_KEY = b"\x22" * 32
POOR = private_address(POOR_KEY)
MINER = b"\xaa" * 20
OTHER_MINER = b"\xbb" * 20
AUTHOR = b"\xcc" * 20

GENESIS = replace(FARMNET.genesis, difficulty=2, alloc={RICH: 1000 * COIN})
CHAIN = replace(FARMNET, name="tiny", edge_bits=EDGE_BITS, genesis=GENESIS)


class Clock:
    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


def open_node(
    home: Path,
    clock: Clock,
    coinbase: bytes = MINER,
    engine: Callable[[GraphLoader], InferEngine] = ReferenceEngine,
    limits: PoolLimits | None = None,
    chain: Chain = CHAIN,
    apart: bool = False,
) -> Node:
    loader = GraphLoader(DirectoryStorage(home / "models"))
    return Node(
        chain, home, loader, engine(loader), coinbase, verify_cycle, clock, limits, apart=apart
    )


def solve(header: Header) -> Header:
    """The header with a nonce and solution that prove its difficulty."""
    search = CuckooSearch(1, 1 << 26)
    job = CuckooJob(header.seal_hash(), EDGE_BITS)
    for first in itertools.count(0, 64):
        _, cycles = search.search(job, first, 64, lambda: False)
        for cycle in cycles:
            if meets_target(cycle.edges, header.difficulty):
                nonce = cycle.nonce.to_bytes(8, "big")
                return replace(header, nonce=nonce, solution=cycle.edges)
    raise AssertionError("unreachable")


def mine(node: Node, clock: Clock, count: int = 1) -> Block:
    """Mine blocks on the node's head the way a miner does; return the last."""
    for _ in range(count):
        clock.now += BLOCK_SECONDS
        package = node.refresh_work()
        sealed = solve(package.block.header)
        block = node.submit(package.seal_hash, sealed.nonce_int(), sealed.solution)
    return block


def sign(
    nonce: int,
    to: bytes | None = POOR,
    value: int = 0,
    data: bytes = b"",
    gas: int = 100_000,
    price: int = 10,
    key: bytes = RICH_KEY,
) -> Transaction:
    return Transaction(nonce, price, gas, to, value, data).sign(key, CHAIN.chain_id)


def dense_model() -> tuple[bytes, bytes]:
    """Symbol and parameters of a layer that takes six int8 and gives three int32."""
    writer = ModelWriter()
    data = writer.add_input((1, 6), 8)
    weights = np.array([[1, 2, 3, 4, 5, 6], [-1, 1, -1, 1, -1, 1], [9, 0, 0, 0, 0, 1]])
    dense = writer.add(
        "dense", "fc", [data, writer.add_parameter("w", weights, 5)], units=3, use_bias=False
    )
    return writer.finish([dense])
