"""The best pool that can be had, and the farm's work from it.

The first pool is used while it works. When it is lost the next one stands in at once, each lost
pool is left alone for longer and longer, and a better one is returned to when it gives work
again: it is joined before the other is left, so devices do not wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farmctl.messages import Submission, SubmissionReply, Work
from farmctl.pools.client import PoolClient
from farmctl.pools.connection import PoolLost

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 120.0
#: A pool that lasted so long has recovered: its next loss counts as its first.
STABLE_SECONDS = 60.0
#: How often a better pool is tried.
RETURN_SECONDS = 30.0

log = logging.getLogger(__name__)


@dataclass
class Standing:
    """How a pool did of late."""

    losses: int = 0
    retry_at: float = 0.0


class Pools:
    """``make_client`` makes the client of a pool by its place. ``on_work`` is called with what
    devices shall search from now on; work that is not available says why."""

    def __init__(
        self,
        count: int,
        make_client: Callable[[int, Callable[[Work], None]], PoolClient],
        on_work: Callable[[Work], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._on_work, self._clock = make_client, on_work, clock
        self._standings = [Standing() for _ in range(count)]
        self._client: PoolClient | None = None
        self.place: int | None = None
        """Of the pool that is mined at; None while there is none."""
        self._lost = "no pool was reached yet"

    def work(self) -> Work:
        if self._client is not None:
            return self._client.work()
        return _no_work(self._lost)

    async def submit(self, submission: Submission) -> SubmissionReply:
        if self._client is None:
            return SubmissionReply(outcome="stale", detail=f"not sent: {self._lost}")
        return await self._client.submit(submission)

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                found = await self._first_open(range(len(self._standings)))
                if found is None:
                    await asyncio.sleep(self._until_next())
                else:
                    await self._mine_at(*found)
        finally:
            if self._client is not None:
                await self._client.close()

    async def _first_open(self, places: Sequence[int]) -> tuple[int, PoolClient] | None:
        """Join the first pool that gives work."""
        for place in places:
            if self._standings[place].retry_at > self._clock():
                continue
            client = self._make(place, lambda work: None)
            try:
                await client.open()
            except PoolLost as lost:
                self._note_loss(place, lost)
                await client.close()
            except asyncio.CancelledError:
                await client.close()
                raise
            else:
                return place, client
        return None

    async def _mine_at(self, place: int, client: PoolClient) -> None:
        """Until the pool is lost or a better one is joined; then go on with that."""
        next_one: tuple[int, PoolClient] | None = (place, client)
        while next_one is not None:
            place, client = next_one
            self._adopt(place, client)
            next_one = await self._until_change(place, client)
            if next_one is None:
                self.place = self._client = None
                self._on_work(_no_work(self._lost))
            await client.close()

    def _adopt(self, place: int, client: PoolClient) -> None:
        self.place, self._client = place, client
        client.on_job = self._on_work
        self._on_work(client.work())
        log.info("mining at %s", client.pool.url, extra={"action": "pool_joined"})

    async def _until_change(self, place: int, client: PoolClient) -> tuple[int, PoolClient] | None:
        """A better pool, joined; None when this one is lost."""
        began = self._clock()
        staying = asyncio.create_task(client.stay())
        returning = asyncio.create_task(self._find_better(place))
        try:
            await asyncio.wait([staying, returning], return_when=asyncio.FIRST_COMPLETED)
            if staying.done():
                self._judge_loss(place, staying, self._clock() - began)
        finally:
            for task in (staying, returning):
                task.cancel()
            await asyncio.wait([staying, returning])
        return None if returning.cancelled() else returning.result()

    def _judge_loss(self, place: int, staying: asyncio.Task[None], seconds: float) -> None:
        try:
            staying.result()
        except PoolLost as lost:
            if seconds >= STABLE_SECONDS:
                self._standings[place].losses = 0
            self._note_loss(place, lost)

    async def _find_better(self, place: int) -> tuple[int, PoolClient]:
        while True:
            await asyncio.sleep(RETURN_SECONDS)
            found = await self._first_open(range(place))
            if found is not None:
                return found

    def _note_loss(self, place: int, lost: PoolLost) -> None:
        standing = self._standings[place]
        pause = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**standing.losses)
        standing.losses = min(standing.losses + 1, 20)
        standing.retry_at = self._clock() + pause
        self._lost = f"pool {place + 1}: {lost}"
        log.warning("%s; tried again in %.0f s", self._lost, pause, extra={"action": "pool_lost"})

    def _until_next(self) -> float:
        soonest = min(standing.retry_at for standing in self._standings)
        return max(0.05, soonest - self._clock())


def _no_work(why: str) -> Work:
    zero = bytes(32).hex()
    return Work(
        chain="",
        seal_hash=zero,
        target=zero,
        height=0,
        edge_bits=0,
        compression_rounds=0,
        finalisation_rounds=0,
        available=False,
        detail=why,
    )
