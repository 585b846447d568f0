"""What all miners of the node's pool share: jobs, and the ledger of shares and blocks.

Everything here runs on the event loop, but for what `Accounts` writes in its thread.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from node.errors import SubmissionRefused
from node.spec.types import Block
from node.stratum.discipline import Discipline
from node.stratum.jobs import JobBook, Share
from node.stratum.metrics import Counts
from node.stratum.session import Session
from node.stratum.settings import StratumSettings
from node.stratum.vardiff import Vardiff

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
    discipline: Discipline = field(init=False)
    _extranonces: int = field(default_factory=lambda: secrets.randbits(32))
    """Begin anywhere, so that a restart on the same block hands out others."""

    def __post_init__(self) -> None:
        self.discipline = Discipline(self.settings.ban_seconds, self.clock)

    @property
    def counts(self) -> Counts:
        return self.discipline.counts

    def open_session(self, address: str, is_solo: bool) -> Session:
        self._extranonces = (self._extranonces + 1) % 2**32
        pace = Vardiff(self.settings.share_seconds, self.settings.minimum_difficulty, self.clock())
        return Session(self, address, self._extranonces, is_solo, pace)

    def note_accepted(self, session: Session, share: Share) -> None:
        self.discipline.note_accepted(session.address, share.difficulty)
        if not session.is_solo:
            self.on_share(session.account, share.difficulty)
        if share.block is not None:
            self.counts.blocks += 1
            self.on_block(share.block, session.account, session.is_solo)

    def note_refused(self, session: Session, refused: SubmissionRefused) -> None:
        name = session.worker or "0x" + session.account.hex()
        self.discipline.note_refused(name, session.address, refused)
