"""Jobs of another pool, and the judging of shares for them.

Miners of this protocol choose their nonces at random, so all of them search the same header; a
nonce is taken once, whoever sends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from node.errors import SubmissionReason, SubmissionRefused
from node.spec.coin import HASH_BITS, Coin
from node.spec.pow import ProofVerifier
from node.stratum.book import Book
from node.stratum.relay.wire import Solution

_REST_BITS = 256 - HASH_BITS


@dataclass
class RelayJob:
    number: int
    """Counts up; miners name it."""
    coin: Coin
    header: bytes
    """Without nonce and proof."""
    target: int
    """The other side takes a share whose digest is at most this."""
    height: int
    ends: float | None = None
    seen: set[int] = field(default_factory=set)

    @property
    def difficulty(self) -> int:
        """What the other side asks of a share."""
        return self.coin.weighted(self.target >> _REST_BITS, self.height)

    def is_named_by(self, solution: Solution) -> bool:
        return (solution.job_id, solution.height) == (self.number, self.height)

    def template(self, difficulty: int) -> dict[str, int | str]:
        """As a miner is told it."""
        return {
            "difficulty": difficulty,
            "height": self.height,
            "job_id": self.number,
            "pre_pow": self.header.hex(),
        }


@dataclass(frozen=True)
class RelayShare:
    """A valid share; ``is_wanted`` where the other side takes it too."""

    job: RelayJob
    nonce: int
    edges: tuple[int, ...]
    difficulty: int
    is_wanted: bool


class RelayBook(Book[RelayJob]):
    """Without a current job while the other side is lost."""

    def __init__(self, verify: ProofVerifier, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._verify = verify

    def add(self, coin: Coin, header: bytes, target: int, height: int) -> RelayJob:
        """Make a job the current one."""
        job = RelayJob(self._next_number(), coin, header, target, height)
        self.make_current(job)
        return job

    def judge(self, difficulty_of: Callable[[int], int], solution: Solution) -> RelayShare:
        """In the order: known job, not seen before, edges of a proof, difficulty, a cycle.
        ``difficulty_of`` tells what went out with a job's number. Raises `SubmissionRefused`."""
        job = self._find(lambda each: each.is_named_by(solution))
        pow, edges = job.coin.pow, solution.pow
        if solution.nonce in job.seen:
            raise SubmissionRefused(SubmissionReason.DUPLICATE, "this share was sent before")
        bits = pow.edge_bits if solution.edge_bits is None else solution.edge_bits
        if bits != pow.edge_bits or not pow.is_proof(edges):
            raise _invalid(f"a proof has {pow.proof_size} edges of {pow.edge_bits} bits")
        difficulty = difficulty_of(job.number)
        if job.coin.difficulty(edges, job.height) < difficulty:
            raise SubmissionRefused(
                SubmissionReason.LOW_DIFFICULTY, f"the share is below difficulty {difficulty}"
            )
        if not self._verify(pow, job.header, solution.nonce, edges):
            raise _invalid("the edges are not a cycle")
        job.seen.add(solution.nonce)
        wanted = pow.digest(edges) <= job.target
        return RelayShare(job, solution.nonce, edges, difficulty, wanted)


def _invalid(message: str) -> SubmissionRefused:
    return SubmissionRefused(SubmissionReason.INVALID, message)
