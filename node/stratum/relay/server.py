"""The relay: jobs of another pool go down to miners, shares that it wants go up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from node.spec.coin import Coin
from node.spec.pow import ProofVerifier
from node.stratum.discipline import Discipline
from node.stratum.listener import Listener
from node.stratum.relay.jobs import RelayBook, RelayShare
from node.stratum.relay.session import RelaySession
from node.stratum.settings import StratumSettings
from node.stratum.vardiff import Vardiff

#: Logins whose work is counted each by itself.
MAX_LOGINS = 4096
#: Shares on their way up; beyond that they are dropped, and counted.
MAX_FORWARDED = 256

log = logging.getLogger(__name__)

#: Sends a share up for a login; says how it went: accepted, stale or rejected.
Forward = Callable[[str, RelayShare], Awaitable[str]]


class Relay:
    """What all miners share."""

    def __init__(
        self,
        settings: StratumSettings,
        verify: ProofVerifier,
        forward: Forward,
        clock: Callable[[], float],
    ) -> None:
        self.discipline = Discipline(settings.ban_seconds, clock)
        self.book = RelayBook(verify, clock)
        self.work: Counter[str] = Counter()
        """Difficulties of accepted shares by login, since the start."""
        self.forwarded: Counter[str] = Counter()
        """Shares sent up, by what became of them."""
        self._settings, self._forward, self._clock = settings, forward, clock
        self._sending: set[asyncio.Task[None]] = set()

    def open_session(self, address: str, is_solo: bool) -> RelaySession:
        pace = Vardiff(
            self._settings.share_seconds, self._settings.minimum_difficulty, self._clock()
        )
        return RelaySession(self.book, self.discipline, self._take, address, pace)

    def _take(self, login: str, share: RelayShare) -> None:
        if login in self.work or len(self.work) < MAX_LOGINS:
            self.work[login] += share.difficulty
        if not share.is_wanted:
            return
        if len(self._sending) >= MAX_FORWARDED:
            self.forwarded["dropped"] += 1
            return
        task = asyncio.get_running_loop().create_task(self._send(login, share))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, login: str, share: RelayShare) -> None:
        outcome = await self._forward(login, share)
        self.forwarded[outcome] += 1
        if outcome == "accepted":
            self.discipline.counts.blocks += 1
        log.info(
            *("share of %s at height %d sent up: %s", login, share.job.height, outcome),
            extra={"action": f"share_forwarded_{outcome}"},
        )

    async def settle(self) -> None:
        """Wait for what is on its way up."""
        await asyncio.gather(*self._sending, return_exceptions=True)


class RelayServer(Listener):
    """Serves Grin's stratum at ``[stratum] relay_port``."""

    def __init__(
        self,
        settings: StratumSettings,
        verify: ProofVerifier,
        forward: Forward,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.relay = Relay(settings, verify, forward, clock)
        super().__init__(settings, self.relay, clock)

    async def start(self) -> None:
        """Raises `NodeError` where it cannot listen."""
        await self.open([(False, self.settings.relay_port)])

    async def stop(self) -> None:
        await self.close()
        await self.relay.settle()

    def offer(self, coin: Coin, header: bytes, target: int, height: int) -> None:
        """Let miners work on a job of the other side."""
        current = self.relay.book.current
        if current is not None and (current.header, current.target) == (header, target):
            return
        self.relay.book.add(coin, header, target, height)
        self.tell(current is None or current.height != height)

    def pause(self) -> None:
        """The other side is lost, or gives work of another kind."""
        self.relay.book.clear()
