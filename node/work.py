"""Work for miners: templates offered by their seal hash, and the judging of solutions.

A template stays valid while its height is within seven blocks of the newest (cortex-protocol
§3). A solution is judged in the order: known work, not seen before, hash under the target, a
cycle. Only then does the sealed block exist.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from node.errors import NoWork, SubmissionReason, SubmissionRefused
from node.spec.chain import Chain
from node.spec.cuckoo import graph_header, target
from node.spec.seal import CycleVerifier, meets_target
from node.spec.types import Block

VALID_BLOCKS = 7
MAX_PACKAGES = 256
MAX_SEEN = 4096
HASHRATE_SECONDS = 10.0
MAX_MINERS = 1024


@dataclass(frozen=True)
class WorkPackage:
    """What a miner searches: a solution's hash must not exceed ``target``."""

    seal_hash: bytes
    target: int
    height: int
    block: Block
    """Complete but for nonce and solution."""


class WorkDesk:
    """All methods are safe to call from several threads."""

    def __init__(self, chain: Chain, verify_cycle: CycleVerifier) -> None:
        self._chain = chain
        self._verify_cycle = verify_cycle
        self._packages: OrderedDict[bytes, WorkPackage] = OrderedDict()
        self._seen: OrderedDict[tuple[bytes, int], None] = OrderedDict()
        self._lock = threading.Lock()

    def offer(self, block: Block) -> WorkPackage:
        """Make a template the current work; the ones too far behind go."""
        header = block.header
        limit = min(target(header.difficulty), 2**256 - 1)
        package = WorkPackage(header.seal_hash(), limit, header.number, block)
        with self._lock:
            self._packages.pop(package.seal_hash, None)
            self._packages[package.seal_hash] = package
            for key, old in list(self._packages.items()):
                if old.height + VALID_BLOCKS <= header.number:
                    del self._packages[key]
            while len(self._packages) > MAX_PACKAGES:
                self._packages.popitem(last=False)
        return package

    def current(self) -> WorkPackage:
        """The newest package; raises `NoWork` while there is none."""
        with self._lock:
            if not self._packages:
                raise NoWork("no mining work available yet")
            return next(reversed(self._packages.values()))

    def seal(self, seal_hash: bytes, nonce: int, edges: tuple[int, ...]) -> Block:
        """The finished block; raises `SubmissionRefused`."""
        package = self._open(seal_hash, nonce)
        self._judge(package, nonce, edges)
        with self._lock:
            if (seal_hash, nonce) in self._seen:
                raise _duplicate()
            self._seen[(seal_hash, nonce)] = None
            if len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
        sealed = replace(
            package.block.header, nonce=nonce.to_bytes(8, "big"), solution=tuple(edges)
        )
        return replace(package.block, header=sealed)

    def reopen(self, seal_hash: bytes, nonce: int) -> None:
        """Let a solution be sent again: its block could not be written."""
        with self._lock:
            self._seen.pop((seal_hash, nonce), None)

    def _open(self, seal_hash: bytes, nonce: int) -> WorkPackage:
        with self._lock:
            package = self._packages.get(seal_hash)
            if package is None:
                raise SubmissionRefused(
                    SubmissionReason.STALE, "this work is unknown or too old; ask for new work"
                )
            if (seal_hash, nonce) in self._seen:
                raise _duplicate()
            return package

    def _judge(self, package: WorkPackage, nonce: int, edges: tuple[int, ...]) -> None:
        size = self._chain.proof_size
        if len(edges) != size or not all(0 <= e < 2**self._chain.edge_bits for e in edges):
            raise SubmissionRefused(
                SubmissionReason.INVALID,
                f"a solution has {size} edges below 2^{self._chain.edge_bits}",
            )
        if not meets_target(edges, package.block.header.difficulty):
            raise SubmissionRefused(
                SubmissionReason.LOW_DIFFICULTY, "the solution's hash is above the target"
            )
        graph = graph_header(package.seal_hash, nonce)
        if not self._verify_cycle(graph, edges, self._chain.edge_bits, self._chain.rounds):
            raise SubmissionRefused(SubmissionReason.INVALID, "the edges are not a cycle")


def _duplicate() -> SubmissionRefused:
    return SubmissionRefused(SubmissionReason.DUPLICATE, "this solution was sent before")


class Hashrates:
    """What miners say of their own speed, each forgotten after ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reports: dict[bytes, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def report(self, miner: bytes, graphs_per_second: int) -> bool:
        """False where too many miners report already."""
        with self._lock:
            self._expire()
            if miner not in self._reports and len(self._reports) >= MAX_MINERS:
                return False
            self._reports[miner] = (self._clock(), graphs_per_second)
            return True

    def total(self) -> int:
        with self._lock:
            self._expire()
            return sum(rate for _, rate in self._reports.values())

    def _expire(self) -> None:
        limit = self._clock() - HASHRATE_SECONDS
        self._reports = {m: r for m, r in self._reports.items() if r[0] >= limit}
