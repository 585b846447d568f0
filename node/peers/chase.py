"""Which feed to follow now: one that claims more work than this node's chain, each in its turn."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from node.errors import NodeError
from node.peers.board import SyncProgress
from node.peers.compare import compare
from node.peers.errors import PeerError
from node.peers.feed import Feed
from node.peers.limits import PeerLimits
from node.peers.sync import Follower
from node.spec.vm.context import InferRuntimeError

#: So many blocks behind, the node says that it is syncing.
SYNCING_BLOCKS = 8

log = logging.getLogger(__name__)


class Chase:
    """``blame`` counts points against a feed."""

    def __init__(
        self,
        follower: Follower,
        feeds: Callable[[], Sequence[Feed]],
        blame: Callable[[Feed, float, str], None],
        limits: PeerLimits,
    ) -> None:
        self._follower, self._feeds, self._blame = follower, feeds, blame
        self._limits = limits
        self._wake = asyncio.Event()
        self._turns: dict[str, float] = {}
        self._compared = 0.0
        self.progress: SyncProgress | None = None
        self.comparison = ""

    def wake(self) -> None:
        """There may be something new."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            try:
                if not await self._round():
                    await self._rest()
            except Exception:  # the top of a loop: the next round may do
                log.exception("following the feeds failed", extra={"action": "sync_failed"})
                await asyncio.sleep(self._limits.round_seconds)

    async def _round(self) -> bool:
        """Follow one feed; whether to go on at once."""
        feeds = self._feeds()
        feed = await self._choose(feeds)
        if feed is not None:
            return await self._follow(feed)
        if time.monotonic() - self._compared > self._limits.compare_seconds:
            self._compared = time.monotonic()
            await self._compare(feeds)
        return False

    async def _rest(self) -> None:
        await wait_for(self._wake, self._limits.round_seconds)

    async def _choose(self, feeds: Sequence[Feed]) -> Feed | None:
        """Of those that claim more than the node has, the one whose turn is longest ago."""
        ours = await asyncio.to_thread(self._follower.own_work)
        names = {feed.name for feed in feeds}
        self._turns = {name: at for name, at in self._turns.items() if name in names}
        ahead = [feed for feed in feeds if feed.status.total_difficulty > ours]
        return min(ahead, key=lambda f: self._turns.get(f.name, 0.0), default=None)

    async def _follow(self, feed: Feed) -> bool:
        """Whether anything came."""
        self._turns[feed.name] = time.monotonic()
        target = feed.status
        starting = self._follower.height()
        if target.number - starting > SYNCING_BLOCKS:
            self.progress = SyncProgress(starting, target.number)
        try:
            return await self._follower.follow(feed, target) > 0
        except PeerError as error:
            self._blame(feed, error.points, str(error))
        except InferRuntimeError as error:
            log.info("blocks wait for inference: %s", error, extra={"action": "sync_waits"})
        except NodeError as error:
            log.warning("blocks cannot be kept: %s", error, extra={"action": "sync_failed"})
        finally:
            self.progress = None
        return False

    async def _compare(self, feeds: Sequence[Feed]) -> None:
        found = await compare(feeds, self._follower.canonical_hash, self._follower.height())
        self.comparison = found.text
        for feed, points, reason in found.blames:
            self._blame(feed, points, reason)


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Until it is set, at most so long; it is clear afterwards."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
