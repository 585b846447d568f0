"""What all miners share: jobs, counts, bans, and the ledger of shares and blocks.

Everything here runs on the event loop, but for what `Accounts` writes in its thread.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from node.errors import SubmissionReason, SubmissionRefused
from node.spec.types import Block
from node.stratum.bans import Bans
from node.stratum.jobs import JobBook, Share
from node.stratum.metrics import Counts
from node.stratum.session import Session
from node.stratum.settings import StratumSettings
from node.stratum.vardiff import Vardiff

#: A line that is no request counts as so many bad shares.
BAD_LINE_STRIKES = 5.0
#: Refused shares are logged one by one up to so many a second.
LOGGED_PER_SECOND = 10

log = logging.getLogger(__name__)

#: Called with a found block, its finder and whether it is the finder's alone.
OnBlock = Callable[[Block, bytes, bool], None]
#: Called with the account and difficulty of a share of the shared pool.
OnShare = Callable[[bytes, int], None]


@dataclass
class Pool:
    settings: StratumSettings
    book: JobBook
    on_share: OnShare
    on_block: OnBlock
    clock: Callable[[], float] = time.monotonic
    bans: Bans = field(init=False)
    counts: Counts = field(default_factory=Counts)
    on_ban: Callable[[str], None] = lambda address: None
    _extranonces: int = field(default_factory=lambda: secrets.randbits(32))
    """Begin anywhere, so that a restart on the same block hands out others."""
    _log_second: int = 0
    _logged: int = 0

    def __post_init__(self) -> None:
        self.bans = Bans(self.settings.ban_seconds, self.clock)

    def open_session(self, address: str, is_solo: bool) -> Session:
        self._extranonces = (self._extranonces + 1) % 2**32
        pace = Vardiff(self.settings.share_seconds, self.settings.minimum_difficulty, self.clock())
        return Session(self, address, self._extranonces, is_solo, pace)

    def note_accepted(self, session: Session, share: Share) -> None:
        self.counts.shares["accepted"] += 1
        self.counts.work += share.difficulty
        self.bans.credit(session.address)
        if not session.is_solo:
            self.on_share(session.account, share.difficulty)
        if share.block is not None:
            self.counts.blocks += 1
            self.on_block(share.block, session.account, session.is_solo)

    def note_refused(self, session: Session, refused: SubmissionRefused) -> None:
        self.counts.shares[refused.reason] += 1
        if self._may_log():
            log.info(
                "share of %s at %s refused: %s",
                *(session.worker or "0x" + session.account.hex(), session.address, refused),
                extra={"action": f"share_{refused.reason}"},
            )
        if refused.reason is not SubmissionReason.STALE:
            self.strike(session.address)

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
