"""From a connection to a session: both greet, the roster agrees, then it is served to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from node.peers.door import dial
from node.peers.errors import FeedMisbehaves, FeedUnavailable, PeerError, PeerRefused
from node.peers.feed import FeedStatus
from node.peers.gossip import Gossip
from node.peers.handshake import Terms, greet_dialler, greet_listener
from node.peers.identity import Identity
from node.peers.library import Library
from node.peers.limits import PeerLimits
from node.peers.link import Link
from node.peers.roster import Roster
from node.peers.rpc_feed import RpcFeed
from node.peers.session import Session
from node.peers.settings import PeerSection

T = TypeVar("T")
log = logging.getLogger(__name__)


class Meeting:
    def __init__(
        self,
        identity: Identity,
        terms: Terms,
        library: Library,
        gossip: Gossip,
        roster: Roster,
        limits: PeerLimits,
    ) -> None:
        self._identity, self._terms, self._library = identity, terms, library
        self._gossip, self._roster, self._limits = gossip, roster, limits

    async def visit(self, section: PeerSection, stand: Callable[[str], None]) -> None:
        """A configured peer, from connecting to the end of it; ``stand`` is told its fingerprint
        once the connection stands. Raises `PeerError`."""
        if section.is_farm:
            await self._dial(section, stand)
        else:
            await self._poll(section, stand)

    async def receive(self, link: Link, host: str) -> None:
        """A connection that came in, to the end of it."""
        try:
            await self._welcome(link, host)
        except FeedMisbehaves as error:
            self._roster.blame_host(host, error.points, str(error))
            await link.leave(str(error))
        except PeerError as error:
            await link.leave(str(error))
        except Exception:  # the top of a task: the next connection may do
            log.exception("a peer at %s failed", host, extra={"action": "peer_failed"})
        finally:
            await link.close()

    async def _dial(self, section: PeerSection, stand: Callable[[str], None]) -> None:
        assert section.address is not None
        link, listener = await dial(
            section.address, section.fingerprint, self._identity, self._limits
        )
        try:
            status = await asyncio.to_thread(self._library.status)
            greeting = greet_listener(link, self._terms, self._identity, listener, status)
            hello = await self._in_time(greeting)
            session = self._open(section.name, link, hello.status, listener)
            await self._serve(session, lambda: stand(listener))
        except PeerError as error:
            await link.leave(str(error))
            raise
        finally:
            await link.close()

    async def _welcome(self, link: Link, host: str) -> None:
        status = await asyncio.to_thread(self._library.status)
        greeting = greet_dialler(link, self._terms, self._identity, status)
        hello, fingerprint = await self._in_time(greeting)
        name = f"{host}#{fingerprint[:16]}"
        session = self._open(name, link, hello.status, fingerprint, host)
        try:
            await self._serve(session, lambda: None)
        except FeedMisbehaves as error:
            self._roster.blame(session, error.points, str(error))
            raise PeerRefused(str(error)) from error  # blamed: its host need not be

    async def _serve(self, session: Session, joined: Callable[[], None]) -> None:
        self._roster.join(session)
        joined()
        log.info("peer %s", session.name, extra={"action": "peer_joined"})
        self._gossip.greet(session)
        try:
            await session.run()
        finally:
            self._roster.leave(session)

    async def _poll(self, section: PeerSection, stand: Callable[[str], None]) -> None:
        feed = RpcFeed(section.name, section.url, self._terms, self._limits)
        try:
            await feed.begin()
            self._roster.outside[feed.name] = feed
            stand("")
            while True:
                await self._gossip.tell_outside(feed)
                await asyncio.sleep(self._limits.round_seconds)
                await feed.refresh()
        finally:
            self._roster.outside.pop(feed.name, None)
            await feed.close()

    async def _in_time(self, greeting: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._limits.handshake_seconds):
                return await greeting
        except TimeoutError as error:
            raise FeedUnavailable("it does not greet") from error

    def _open(
        self, name: str, link: Link, status: FeedStatus, fingerprint: str, host: str = ""
    ) -> Session:
        return Session(
            name, link, status, self._library, self._gossip, self._limits, fingerprint, host
        )
