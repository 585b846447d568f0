"""The work that shares may come for, of whatever kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from node.errors import SubmissionReason, SubmissionRefused

#: Shares at the height before still count for so long.
GRACE_SECONDS = 5.0
MAX_JOBS = 32
#: Of all jobs together; each takes about 100 bytes.
MAX_SEEN = 200_000


class Job(Protocol):
    height: int
    ends: float | None
    """When its shares cease to count; None while it is at the newest height."""
    seen: set[int]
    """What tells its accepted shares from others."""


J = TypeVar("J", bound=Job)


class Book(Generic[J]):
    """Used on the event loop alone."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs: list[J] = []
        """Oldest first."""
        self._count = 0

    @property
    def current(self) -> J | None:
        return self._jobs[-1] if self._jobs else None

    def clear(self) -> None:
        """There is no work: nothing more is taken."""
        self._jobs = []

    def _next_number(self) -> int:
        """Counts up with each job of this process."""
        self._count += 1
        return self._count

    def make_current(self, job: J) -> None:
        """Jobs at other heights end with the grace; those that have ended are let go."""
        now = self._clock()
        for old in self._jobs:
            if old.height != job.height and old.ends is None:
                old.ends = now + GRACE_SECONDS
        known = [old for old in self._jobs if old.ends is None or old.ends > now]
        self._jobs = [*known[1 - MAX_JOBS :], job]

    def _find(self, is_meant: Callable[[J], bool]) -> J:
        """The newest such job. Raises `SubmissionRefused` where its shares do not count."""
        job = next(filter(is_meant, reversed(self._jobs)), None)
        if job is None or (job.ends is not None and job.ends <= self._clock()):
            raise _stale("this job is unknown or too old; take the newest")
        if sum(len(each.seen) for each in self._jobs) >= MAX_SEEN:
            raise _stale("too many shares came for this job; wait for the next")
        return job


def _stale(message: str) -> SubmissionRefused:
    return SubmissionRefused(SubmissionReason.STALE, message)
