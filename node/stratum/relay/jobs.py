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
from node.stratum.relay.wire import Solution

#: Shares at the height before still count for so long.
GRACE_SECONDS = 5.0
MAX_JOBS = 32
MAX_SEEN = 200_000
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
    """When its shares cease to count; None while it is the newest height."""
    seen: set[int] = field(default_factory=set)

    @property
    def difficulty(self) -> int:
        """What the other side asks of a share."""
        return self.coin.weighted(self.target >> _REST_BITS, self.height)

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


@dataclass
class RelayBook:
    """The jobs that shares may come for. Used on the event loop alone."""

    verify: ProofVerifier
    clock: Callable[[], float] = time.monotonic
    current: RelayJob | None = None
    """None while the other side is lost."""
    _jobs: list[RelayJob] = field(default_factory=list)
    """Oldest first."""
    _count: int = 0

    def add(self, coin: Coin, header: bytes, target: int, height: int) -> RelayJob:
        """Make a job the current one."""
        self._count += 1
        job = RelayJob(self._count, coin, header, target, height)
        now = self.clock()
        for old in self._jobs:
            if old.height != height and old.ends is None:
                old.ends = now + GRACE_SECONDS
        known = [j for j in self._jobs if j.ends is None or j.ends > now]
        self._jobs, self.current = [*known[1 - MAX_JOBS :], job], job
        return job

    def clear(self) -> None:
        """There is no work: nothing more is taken."""
        self._jobs, self.current = [], None

    def judge(self, difficulty_of: Callable[[int], int], solution: Solution) -> RelayShare:
        """In the order: known job, not seen before, edges of a proof, difficulty, a cycle.
        ``difficulty_of`` tells what went out with a job's number. Raises `SubmissionRefused`."""
        job = self._find(solution)
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
        if not self.verify(pow, job.header, solution.nonce, edges):
            raise _invalid("the edges are not a cycle")
        job.seen.add(solution.nonce)
        wanted = pow.digest(edges) <= job.target
        return RelayShare(job, solution.nonce, edges, difficulty, wanted)

    def _find(self, solution: Solution) -> RelayJob:
        now = self.clock()
        for job in reversed(self._jobs):
            if job.number == solution.job_id and job.height == solution.height:
                if job.ends is not None and job.ends <= now:
                    break
                if sum(len(each.seen) for each in self._jobs) >= MAX_SEEN:
                    raise _stale("too many shares came for this job; wait for the next")
                return job
        raise _stale("this job is unknown or too old; take the newest")


def _stale(message: str) -> SubmissionRefused:
    return SubmissionRefused(SubmissionReason.STALE, message)


def _invalid(message: str) -> SubmissionRefused:
    return SubmissionRefused(SubmissionReason.INVALID, message)
