"""Order among miners: what they did is counted, and who floods the pool is shut out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from node.errors import SubmissionReason, SubmissionRefused
from node.stratum.bans import Bans
from node.stratum.metrics import Counts

#: A line that is no request counts as so many bad shares.
BAD_LINE_STRIKES = 5.0
#: Refused shares are logged one by one up to so many a second.
LOGGED_PER_SECOND = 10

log = logging.getLogger(__name__)


@dataclass
class Discipline:
    ban_seconds: float
    clock: Callable[[], float] = time.monotonic
    bans: Bans = field(init=False)
    counts: Counts = field(default_factory=Counts)
    on_ban: Callable[[str], None] = lambda address: None
    _log_second: int = 0
    _logged: int = 0

    def __post_init__(self) -> None:
        self.bans = Bans(self.ban_seconds, self.clock)

    def note_accepted(self, address: str, difficulty: int) -> None:
        self.counts.shares["accepted"] += 1
        self.counts.work += difficulty
        self.bans.credit(address)

    def note_refused(self, name: str, address: str, refused: SubmissionRefused) -> None:
        """``name`` is whose share it was, for people."""
        self.counts.shares[refused.reason] += 1
        if self._may_log():
            log.info(
                *("share of %s at %s refused: %s", name, address, refused),
                extra={"action": f"share_{refused.reason}"},
            )
        if refused.reason is not SubmissionReason.STALE:
            self.strike(address)

    def note_bad_line(self, address: str) -> None:
        self.counts.bad_lines += 1
        self.strike(address, BAD_LINE_STRIKES)

    def strike(self, address: str, weight: float = 1.0) -> None:
        if self.bans.strike(address, weight):
            self.counts.bans += 1
            log.warning("%s is banned", address, extra={"action": "miner_banned"})
            self.on_ban(address)

    def _may_log(self) -> bool:
        second = int(self.clock())
        if second != self._log_second:
            self._log_second, self._logged = second, 0
        self._logged += 1
        return self._logged <= LOGGED_PER_SECOND
