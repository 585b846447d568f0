"""The peers at work: connections kept, the heaviest chain followed, news passed on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from node.core import Node
from node.errors import NodeError
from node.peers.board import PeerBoard
from node.peers.chase import Chase, wait_for
from node.peers.contacts import Contact
from node.peers.door import Listener
from node.peers.gossip import Gossip
from node.peers.handshake import Terms
from node.peers.identity import Identity
from node.peers.library import Library
from node.peers.limits import PeerLimits
from node.peers.meeting import Meeting
from node.peers.roster import Roster
from node.peers.settings import PeerSettings
from node.peers.sync import Follower, Import
from node.spec.chain import Chain
from node.spec.seal import CycleVerifier, is_sealed
from node.spec.types import Header

#: News wait so long for more to go with them.
GATHER_SECONDS = 0.05
BOARD_SECONDS = 0.5

log = logging.getLogger(__name__)


class PeerService:
    """Runs on the node's event loop. ``import_blocks`` is `NodeService.import_blocks`."""

    def __init__(
        self,
        settings: PeerSettings,
        node: Node,
        import_blocks: Import,
        verify_cycle: CycleVerifier,
        identity_file: Path,
        limits: PeerLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises `NodeError` where the identity cannot be read or the port is taken."""
        self.node, self._limits = node, limits or PeerLimits()
        self.identity = Identity(identity_file)
        known = {p.fingerprint for p in settings.peers if p.fingerprint}
        self.roster = Roster(self.identity.fingerprint, known, self._limits.peers)
        follower = Follower(node, import_blocks, partial(_verify_seal, verify_cycle), clock)
        self.chase = Chase(follower, self.roster.feeds, self.roster.blame, self._limits)
        self.gossip = Gossip(node, import_blocks, self.roster.blame, self.chase.wake)
        terms = Terms(node.chain, _genesis_hash(node), known, settings.admits_unknown)
        meeting = Meeting(
            self.identity, terms, Library(node), self.gossip, self.roster, self._limits
        )
        self._contacts = [
            Contact(s, meeting.visit, self.roster, self._limits)
            for s in settings.peers
            if s.address
        ]
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._listen = settings.listen
        self._listener: Listener | None = None
        if settings.address is not None:
            self._listener = Listener(
                settings.address,
                self.identity,
                self._limits,
                meeting.receive,
                self.roster.is_welcome,
            )

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """What runs; each of these until `stop`."""
        return self._tasks

    @property
    def port(self) -> int | None:
        """Where it listens, if it does."""
        return self._listener.port if self._listener else None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.node.on_change(lambda: _wake(loop, self._changed))
        jobs = [self.chase.run(), self.gossip.run(), self._tell(), self._show()]
        jobs += [contact.run() for contact in self._contacts]
        if self._listener is not None:
            jobs.append(self._listener.run())
        self._tasks = [asyncio.create_task(job) for job in jobs]

    async def stop(self) -> None:
        await asyncio.gather(*(s.close() for s in list(self.roster.sessions.values())))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def board(self) -> PeerBoard:
        connected = [self.roster.view(feed) for feed in self.roster.feeds()]
        others = [c.view() for c in self._contacts if c.is_shown()]
        return PeerBoard(
            self._listen,
            self.identity.fingerprint,
            (*connected, *others),
            self.chase.progress,
            self.chase.comparison,
        )

    async def _tell(self) -> None:
        """Pass on what is new, a moment after it came, and to whomever has come since."""
        while True:
            await wait_for(self._changed, self._limits.round_seconds)
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self.gossip.tell(list(self.roster.sessions.values()))
            except NodeError as error:
                log.warning("nothing is passed on: %s", error, extra={"action": "gossip_failed"})

    async def _show(self) -> None:
        while True:
            self.node.peer_board = self.board()
            await asyncio.sleep(BOARD_SECONDS)


def _genesis_hash(node: Node) -> bytes:
    found = node.store.canonical_hash(0)
    assert found is not None  # the store writes it before anything else
    return found


def _verify_seal(verify_cycle: CycleVerifier, chain: Chain, header: Header) -> bool:
    return is_sealed(chain, header, verify_cycle)


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
