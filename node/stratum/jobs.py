"""Jobs and the judging of shares.

Each miner searches a block of its own: four bytes at the end of the header's ``extra`` are the
miner's extranonce, so seal hashes differ and nonce ranges are disjoint without the miners' help.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from node.errors import SubmissionReason, SubmissionRefused
from node.spec.chain import Chain
from node.spec.crypto import keccak
from node.spec.cuckoo import graph_header, solution_hash, target
from node.spec.seal import CycleVerifier
from node.spec.types import Block
from node.stratum.book import Book
from node.stratum.wire import Solution

EXTRANONCE_BYTES = 4
MAX_EXTRA_BYTES = 32
HIGHEST = 2**256 - 1


class Template:
    """A block complete but for extranonce, nonce and solution."""

    def __init__(self, number: int, block: Block) -> None:
        self.number = number
        """Counts up with each template of this process."""
        self.height = block.header.number
        self.target = share_target(block.header.difficulty)
        self.difficulty = block.header.difficulty
        self.ends: float | None = None
        self.seen: set[int] = set()
        self._block = block
        self._stem = block.header.extra[: MAX_EXTRA_BYTES - EXTRANONCE_BYTES]
        blank = replace(block.header, extra=self._stem + bytes(EXTRANONCE_BYTES))
        # ``extra`` is the last field under the seal, so its end is the encoding's.
        self._sealed = blank.seal_encode()[:-EXTRANONCE_BYTES]

    def seal_hash(self, extranonce: int) -> bytes:
        return keccak(self._sealed + extranonce.to_bytes(EXTRANONCE_BYTES, "big"))

    def seal(self, extranonce: int, solution: Solution) -> Block:
        """The finished block."""
        extra = self._stem + extranonce.to_bytes(EXTRANONCE_BYTES, "big")
        nonce = solution.nonce.to_bytes(8, "big")
        header = replace(
            self._block.header, extra=extra, nonce=nonce, solution=tuple(solution.edges)
        )
        return replace(self._block, header=header)


def share_target(difficulty: int) -> int:
    return min(target(difficulty), HIGHEST)


@dataclass(frozen=True)
class Share:
    """A valid share; ``block`` where it is good enough for one."""

    difficulty: int
    block: Block | None


class JobBook(Book[Template]):
    def __init__(
        self,
        chain: Chain,
        verify_cycle: CycleVerifier,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self._chain, self._verify_cycle = chain, verify_cycle

    def add(self, block: Block) -> Template:
        """Make a block the current work."""
        template = Template(self._next_number(), block)
        self.make_current(template)
        return template

    def judge(
        self, extranonce: int, difficulty_of: Callable[[int], int], solution: Solution
    ) -> Share:
        """In the order: known work, not seen before, hash under the target, a cycle.
        ``difficulty_of`` tells the share difficulty that went out with a template's number.
        Raises `SubmissionRefused`."""
        template = self._find(lambda each: each.seal_hash(extranonce) == solution.seal_hash)
        key = extranonce << 64 | solution.nonce
        if key in template.seen:
            raise SubmissionRefused(SubmissionReason.DUPLICATE, "this share was sent before")
        difficulty = difficulty_of(template.number)
        digest = int.from_bytes(solution_hash(solution.edges), "big")
        if digest > share_target(difficulty):
            raise SubmissionRefused(
                SubmissionReason.LOW_DIFFICULTY, "the solution's hash is above the job's target"
            )
        self._check_cycle(solution)
        template.seen.add(key)
        found = digest <= template.target
        return Share(difficulty, template.seal(extranonce, solution) if found else None)

    def _check_cycle(self, solution: Solution) -> None:
        chain = self._chain
        graph = graph_header(solution.seal_hash, solution.nonce)
        if not self._verify_cycle(graph, solution.edges, chain.edge_bits, chain.rounds):
            raise SubmissionRefused(SubmissionReason.INVALID, "the edges are not a cycle")
