"""The feeds together: who is asked, who is left alone, who was caught in a lie."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from node.light.errors import FeedLies, FeedLost, FeedUseless, LightError, NoAnswer
from node.light.feed import Feed
from node.peers.board import PeerState, PeerView
from node.peers.errors import BAN_POINTS

FIRST_PAUSE_SECONDS = 2.0
MAX_PAUSE_SECONDS = 120.0
#: A feed that lied is not asked for so long.
DROPPED_SECONDS = 3600.0

T = TypeVar("T")
log = logging.getLogger(__name__)


class FeedState(StrEnum):
    GOOD = "good"
    LOST = "lost"
    DROPPED = "dropped"
    """It was caught in a lie."""


_STATES = {
    FeedState.GOOD: PeerState.CONNECTED,
    FeedState.LOST: PeerState.LOST,
    FeedState.DROPPED: PeerState.BANNED,
}


@dataclass
class Standing:
    feed: Feed
    state: FeedState = FeedState.GOOD
    reason: str = ""
    """Why it is not good, or what it last could not do."""
    losses: int = 0
    asked_again_at: float = 0.0
    head: int | None = None
    """Number of the newest block whose header it showed."""
    head_hash: bytes | None = None
    is_behind: bool = False
    """Its branch weighs less than the best one: it withholds the head, or lags."""
    lies: int = 0

    def view(self) -> PeerView:
        """As people see it."""
        return PeerView(
            name=self.feed.name,
            kind="rpc",
            inbound=False,
            state=_STATES[self.state],
            reason=self.reason or ("behind the best chain" if self.is_behind else ""),
            number=self.head,
            head=self.head_hash,
            total_difficulty=None,
            points=BAN_POINTS if self.state is FeedState.DROPPED else 0.0,
        )


class Feeds:
    """Safe for several threads."""

    def __init__(self, feeds: Sequence[Feed], clock: Callable[[], float] = time.monotonic) -> None:
        self.standings = [Standing(feed) for feed in feeds]
        self._clock = clock
        self._lock = threading.Lock()

    def close(self) -> None:
        for standing in self.standings:
            standing.feed.close()

    def usable(self) -> list[Standing]:
        """Those that may be asked now, the ones that lag last."""
        now = self._clock()
        found = [s for s in self.standings if s.asked_again_at <= now]
        return sorted(found, key=lambda s: s.is_behind)

    def ask(self, what: str, work: Callable[[Feed], T]) -> T:
        """The first good answer. Raises `NoAnswer`, saying why each feed gave none."""
        reasons = []
        for standing in self.usable():
            try:
                answer = work(standing.feed)
            except LightError as error:
                self.note_failure(standing, error)
                reasons.append(f"{standing.feed.name}: {error}")
            else:
                self.note_good(standing)
                return answer
        why = "; ".join(reasons) or "no feed can be asked now"
        raise NoAnswer(f"{what} cannot be had with a proof: {why}")

    def tell(self, what: str, work: Callable[[Feed], None]) -> None:
        """Do it with every feed. Raises `NoAnswer` where it worked with none."""
        reasons = []
        standings = self.usable()
        for standing in standings:
            try:
                work(standing.feed)
            except LightError as error:
                self.note_failure(standing, error)
                reasons.append(f"{standing.feed.name}: {error}")
        if len(reasons) == len(standings):
            why = "; ".join(reasons) or "no feed can be asked now"
            raise NoAnswer(f"{what} was taken by no feed: {why}")

    def note_good(self, standing: Standing) -> None:
        with self._lock:
            standing.state, standing.losses, standing.reason = FeedState.GOOD, 0, ""

    def note_failure(self, standing: Standing, error: LightError) -> None:
        with self._lock:
            standing.reason = str(error)
            if isinstance(error, FeedLies):
                standing.state, standing.lies = FeedState.DROPPED, standing.lies + 1
                standing.asked_again_at = self._clock() + DROPPED_SECONDS
            elif isinstance(error, FeedLost):
                pause = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**standing.losses)
                standing.state, standing.losses = FeedState.LOST, min(standing.losses + 1, 16)
                standing.asked_again_at = self._clock() + pause
        if not isinstance(error, FeedUseless):
            log.warning(
                *("feed %s is %s: %s", standing.feed.name, standing.state, error),
                extra={"action": f"feed_{standing.state}"},
            )
