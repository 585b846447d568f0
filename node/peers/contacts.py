"""Staying connected to each configured peer, or going on trying."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from node.peers.board import PeerState, PeerView
from node.peers.errors import PeerError
from node.peers.limits import PeerLimits
from node.peers.roster import Roster
from node.peers.settings import PeerSection

log = logging.getLogger(__name__)


class Contact:
    """``visit`` connects and returns, or raises `PeerError`, when the connection ends; it calls
    the function given to it once the connection stands."""

    def __init__(
        self,
        section: PeerSection,
        visit: Callable[[PeerSection, Callable[[str], None]], Awaitable[None]],
        roster: Roster,
        limits: PeerLimits,
    ) -> None:
        self.section = section
        self._visit, self._roster, self._limits = visit, roster, limits
        self._key = section.fingerprint or section.name
        self._state, self._reason = PeerState.CONNECTING, ""
        self._stood = False

    async def run(self) -> None:
        wait = self._limits.redial_seconds
        while True:
            seconds = self._roster.scores.ban_seconds(self._key)
            if seconds > 0:
                await asyncio.sleep(min(seconds, self._limits.redial_most_seconds))
                continue
            if not self._roster.is_connected(self._key):
                await self._try()
            wait = self._limits.redial_seconds if self._stood else wait * 2
            wait = min(wait, self._limits.redial_most_seconds)
            await asyncio.sleep(wait)

    def view(self) -> PeerView:
        """While it is not connected."""
        scores = self._roster.scores
        state, reason = self._state, self._reason
        if scores.ban_seconds(self._key) > 0:
            state, reason = PeerState.BANNED, scores.reason(self._key)
        kind = "farm" if self.section.is_farm else "rpc"
        return PeerView(
            self.section.name,
            kind,
            False,
            state,
            reason,
            None,
            None,
            None,
            scores.points(self._key),
        )

    def is_shown(self) -> bool:
        """Whether it needs a line of its own: its connection has one already."""
        name = self.section.name
        return not (
            name in self._roster.sessions
            or name in self._roster.outside
            or self._roster.is_connected(self._key)
        )

    def _stand(self, fingerprint: str) -> None:
        self._stood, self._reason = True, ""
        self._key = fingerprint or self._key

    async def _try(self) -> None:
        self._stood = False
        began = time.monotonic()
        try:
            await self._visit(self.section, self._stand)
        except PeerError as error:
            self._lose(str(error))
            if self._stood:
                self._roster.scores.add(self._key, error.points, str(error))
        except Exception:  # the top of a loop: the next try may do
            log.exception("%s failed", self.section.name, extra={"action": "peer_failed"})
            self._lose("an error here; see the node's log")
        if time.monotonic() - began < self._limits.redial_seconds:
            self._stood = False  # it hangs up at once: no hurry

    def _lose(self, reason: str) -> None:
        self._state, self._reason = PeerState.LOST, reason
        level = logging.INFO if self._stood else logging.DEBUG
        log.log(level, "%s: %s", self.section.name, reason, extra={"action": "peer_lost"})
