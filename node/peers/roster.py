"""Who is connected, and what is held against whom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from node.peers.board import PeerState, PeerView
from node.peers.errors import BAN_POINTS, PeerRefused
from node.peers.feed import Feed
from node.peers.rpc_feed import RpcFeed
from node.peers.scores import Scores
from node.peers.session import Session

log = logging.getLogger(__name__)


class Roster:
    """``own`` is this node's fingerprint, ``known`` are those of configured peers."""

    def __init__(self, own: str, known: Collection[str], most: int) -> None:
        self._own, self._known, self._most = own, known, most
        self.scores = Scores()
        self.sessions: dict[str, Session] = {}
        self.outside: dict[str, RpcFeed] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def feeds(self) -> list[Feed]:
        return [*self.sessions.values(), *self.outside.values()]

    def is_welcome(self, host: str) -> bool:
        return self.scores.ban_seconds(host) == 0

    def is_connected(self, fingerprint: str) -> bool:
        return any(s.fingerprint == fingerprint for s in self.sessions.values())

    def join(self, session: Session) -> None:
        """Raises `PeerRefused` where it is banned, here already, or one too many."""
        if self.scores.ban_seconds(session.fingerprint) > 0:
            raise PeerRefused("it is banned for a while")
        if len(self.sessions) >= self._most:
            raise PeerRefused("this node has peers enough")
        for other in list(self.sessions.values()):
            if other.fingerprint == session.fingerprint:
                self._settle(other, session)
        self.sessions[session.name] = session

    def leave(self, session: Session) -> None:
        if self.sessions.get(session.name) is session:
            del self.sessions[session.name]

    def blame(self, feed: Feed, points: float, reason: str) -> None:
        """Count points; who has too many is dropped and banned."""
        if isinstance(feed, Session):
            self._blame_session(feed, points, reason)
        else:
            self.scores.add(feed.name, points, reason)

    def blame_host(self, host: str, points: float, reason: str) -> None:
        """Of a connection that never came to a greeting."""
        self.scores.add(host, points, reason)

    def view(self, feed: Feed) -> PeerView:
        key = feed.fingerprint if isinstance(feed, Session) else feed.name
        return PeerView(
            feed.name,
            feed.kind,
            isinstance(feed, Session) and feed.inbound,
            PeerState.CONNECTED,
            self.scores.reason(key),
            feed.status.number,
            feed.status.head_hash,
            feed.status.total_difficulty,
            self.scores.points(key),
        )

    def _blame_session(self, session: Session, points: float, reason: str) -> None:
        is_banned = self.scores.add(session.fingerprint, points, reason)
        if not is_banned:
            return
        log.warning("%s banned: %s", session.name, reason, extra={"action": "peer_banned"})
        if session.fingerprint not in self._known and session.host:
            self.scores.add(session.host, BAN_POINTS, reason)  # a key is made in no time
        self._dismiss(session, f"banned: {reason}")

    def _settle(self, old: Session, new: Session) -> None:
        """Two connections of the same two nodes: both sides keep the one that was dialled by the
        smaller fingerprint, or else the older."""
        ours_wins = self._own < new.fingerprint
        if new.inbound == old.inbound or new.inbound == ours_wins:
            raise PeerRefused("it is connected already")
        self._dismiss(old, "connected the other way")

    def _dismiss(self, session: Session, reason: str) -> None:
        self.leave(session)
        task = asyncio.create_task(session.close(reason))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
