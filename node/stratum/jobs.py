"""Jobs and the judging of shares.

Each miner searches a block of its own: four bytes at the end of the header's ``extra`` are the
miner's extranonce, so seal hashes differ and nonce ranges are disjoint without the miners' help.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from node.errors import SubmissionReason, SubmissionRefused
from node.spec.chain import Chain
from node.spec.crypto import keccak
from node.spec.cuckoo import graph_header, solution_hash, target
from node.spec.seal import CycleVerifier
from node.spec.types import Block
from node.stratum.wire import Solution

EXTRANONCE_BYTES = 4
MAX_EXTRA_BYTES = 32
#: Shares on the block before still count for so long after a new head.
GRACE_SECONDS = 5.0
MAX_TEMPLATES = 32
#: Of all templates together; each takes about 100 bytes.
MAX_SEEN = 200_000
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
        """When its shares cease to count; None while it is on the head."""
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


@dataclass
class JobBook:
    """The templates that shares may come for. Used on the event loop alone."""

    chain: Chain
    verify_cycle: CycleVerifier
    clock: Callable[[], float] = time.monotonic
    templates: list[Template] = field(default_factory=list)
    """Oldest first."""
    _count: int = 0

    def add(self, block: Block) -> Template:
        """Make a block the current work."""
        self._count += 1
        template = Template(self._count, block)
        for old in self.templates:
            if old.height != template.height and old.ends is None:
                old.ends = self.clock() + GRACE_SECONDS
        now = self.clock()
        known = [t for t in self.templates if t.ends is None or t.ends > now]
        self.templates = [*known[1 - MAX_TEMPLATES :], template]
        return template

    @property
    def current(self) -> Template | None:
        return self.templates[-1] if self.templates else None

    def judge(
        self, extranonce: int, difficulty_of: Callable[[int], int], solution: Solution
    ) -> Share:
        """In the order: known work, not seen before, hash under the target, a cycle.
        ``difficulty_of`` tells the share difficulty that went out with a template's number.
        Raises `SubmissionRefused`."""
        template = self._find(extranonce, solution.seal_hash)
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

    def _find(self, extranonce: int, seal_hash: bytes) -> Template:
        now = self.clock()
        for template in reversed(self.templates):
            if template.seal_hash(extranonce) == seal_hash:
                if template.ends is not None and template.ends <= now:
                    break
                if sum(len(t.seen) for t in self.templates) >= MAX_SEEN:
                    raise _stale("too many shares came for this job; wait for the next")
                return template
        raise _stale("this job is unknown or too old; take the newest")

    def _check_cycle(self, solution: Solution) -> None:
        chain = self.chain
        graph = graph_header(solution.seal_hash, solution.nonce)
        if not self.verify_cycle(graph, solution.edges, chain.edge_bits, chain.rounds):
            raise SubmissionRefused(SubmissionReason.INVALID, "the edges are not a cycle")


def _stale(message: str) -> SubmissionRefused:
    return SubmissionRefused(SubmissionReason.STALE, message)
