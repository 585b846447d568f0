"""Models and inputs of new blocks are fetched before anybody asks for them.

A CortexTheseus node with remote inference keeps none: the service follows its blocks over
JSON-RPC and fetches what transactions create (cortex-protocol §4). What turns out never to have
been uploaded costs some attempts; a budget of bytes bounds all of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from node.models.content import CONTENT_BYTES_LIMIT
from node.peers.errors import PeerError
from node.peers.json_blocks import read_bytes, read_quantity
from node.peers.rpc_caller import RpcCaller
from node.spec.chain import Chain
from node.spec.meta import decode_meta, is_input, is_model
from node.spec.rlp import RlpError
from node.synapse.fetching import ContentMissing, Fetcher
from node.synapse.journal import Journal, Place, Wanted
from node.synapse.networks import find_rules

POLL_SECONDS = 2.0
ASK_SECONDS = 20.0
#: Blocks asked for at once.
BLOCKS = 16
#: Blocks read again where the node's branch has changed.
REORG_BLOCKS = 64
#: Contents fetched at once, and what is known to be wanted at most; the oldest are given up.
FETCHES = 2
MAX_WANTED = 10_000
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 5.0, 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FollowCounts:
    block: int
    """The next to be read."""
    wanted: int
    """Contents that are still to be fetched."""
    prefetched_bytes: int
    over_budget: int
    """Contents that had no room in the budget."""
    is_following: bool
    """The node answered when it was last asked."""


class Follower:
    """Follows from the journal's place, or from ``first`` where it has none (-1: the head)."""

    def __init__(
        self,
        rpc: RpcCaller,
        fetcher: Fetcher,
        journal: Journal,
        first: int,
        budget_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpc = rpc
        self._fetcher = fetcher
        self._journal = journal
        self._first = first
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._place = journal.read()
        self._wanted: dict[bytes, _Errand] = {
            each.infohash: _Errand(each) for each in (self._place.wanted if self._place else ())
        }
        self._fetching: set[bytes] = set()
        self._spent = self._place.spent_bytes if self._place else 0
        self._saving = asyncio.Lock()
        self._over_budget = 0
        self._is_following = False
        self._at_once = BLOCKS
        self._rules: Chain | None = None

    def counts(self) -> FollowCounts:
        number = self._place.next_block if self._place else max(self._first, 0)
        return FollowCounts(
            number, len(self._wanted), self._spent, self._over_budget, self._is_following
        )

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            for _ in range(FETCHES):
                tasks.create_task(self._fetch())

    async def read_on(self) -> bool:
        """Read some blocks; whether it came further. Raises `PeerError`."""
        head, network = await self._rpc.calls([("eth_blockNumber", []), ("eth_chainId", [])])
        last = read_quantity(head)
        self._rules = find_rules(read_quantity(network))
        place = self._place or Place(last + 1 if self._first < 0 else self._first, "")
        self._place = place
        first = place.next_block
        for block in await self._read_blocks(first, last):
            self._place = place = self._read(place, block)
        if place.next_block != first:
            await self._save()
        return place.next_block > first

    async def _read_blocks(self, first: int, last: int) -> list[Any]:
        """Some of them; fewer at once where a node's answer was too much."""
        numbers = range(first, min(last + 1, first + self._at_once))
        if not numbers:
            return []
        try:
            calls = [("eth_getBlockByNumber", [hex(n), True]) for n in numbers]
            found = await self._rpc.calls(calls)
        except PeerError:
            self._at_once = max(1, self._at_once // 2)
            raise
        self._at_once = min(BLOCKS, 2 * self._at_once)
        return found

    async def _follow(self) -> None:
        while True:
            try:
                is_behind = await self.read_on()
            except PeerError as error:
                if self._is_following:
                    log.warning("following: %s", error, extra={"action": "follow_failed"})
                self._is_following, is_behind = False, False
            except Exception:  # the top of a loop: the next round may do
                log.exception("following failed", extra={"action": "follow_failed"})
                self._is_following, is_behind = False, False
            else:
                self._is_following = True
            await asyncio.sleep(0 if is_behind else POLL_SECONDS)

    def _read(self, place: Place, block: Any) -> Place:
        """The place after a block; further back where it does not follow from the last one."""
        number = place.next_block
        if not isinstance(block, dict) or read_quantity(block.get("number")) != number:
            return place
        if place.last_hash and block.get("parentHash") != place.last_hash:
            log.info("block %d is on another branch", number, extra={"action": "follow_reorg"})
            return Place(max(0, number - REORG_BLOCKS), "")
        for wanted in find_created(block):
            self._want(wanted)
        return Place(number + 1, str(block.get("hash", "")))

    def _want(self, wanted: Wanted) -> None:
        if self._rules is not None and wanted.infohash in self._rules.replaced_models:
            # Its size may be another, too.
            infohash = self._rules.replaced_models[wanted.infohash]
            wanted = Wanted(infohash, CONTENT_BYTES_LIMIT)
        if wanted.infohash in self._wanted:
            return
        self._wanted[wanted.infohash] = _Errand(wanted)
        if len(self._wanted) > MAX_WANTED:
            self._wanted.pop(next(iter(self._wanted)))

    async def _fetch(self) -> None:
        while True:
            errand = self._next()
            if errand is None:
                await asyncio.sleep(POLL_SECONDS)
                continue
            self._fetching.add(errand.wanted.infohash)
            try:
                await self._fetch_one(errand)
            except Exception:  # the top of a loop: another content may do
                log.exception("prefetching failed", extra={"action": "prefetch_failed"})
                errand.put_off(self._clock())
            finally:
                self._fetching.discard(errand.wanted.infohash)

    def _next(self) -> _Errand | None:
        now = self._clock()
        waiting = (e for e in self._wanted.values() if e.wanted.infohash not in self._fetching)
        return next((each for each in waiting if each.due <= now), None)

    async def _fetch_one(self, errand: _Errand) -> None:
        wanted = errand.wanted
        if self._fetcher.holds(wanted.infohash):
            await self._end(wanted, 0)
            return
        if self._spent + wanted.raw_size > self._budget_bytes:
            self._over_budget += 1
            log.warning("no room in the budget for %s", wanted, extra={"action": "over_budget"})
            await self._end(wanted, 0)
            return
        try:
            await self._fetcher.ensure(wanted.infohash, wanted.raw_size)
        except ContentMissing:
            errand.put_off(self._clock())
        else:
            log.info("prefetched %s", wanted, extra={"action": "prefetched"})
            await self._end(wanted, wanted.raw_size)

    async def _end(self, wanted: Wanted, size: int) -> None:
        self._wanted.pop(wanted.infohash, None)
        self._spent += size
        await self._save()

    async def _save(self) -> None:
        """In a thread, for requests are answered on this loop; one after another."""
        async with self._saving:
            if self._place is not None:
                wanted = tuple(errand.wanted for errand in self._wanted.values())
                place = self._place
                self._place = Place(place.next_block, place.last_hash, self._spent, wanted)
                await asyncio.to_thread(self._journal.write, self._place)


class _Errand:
    """A content to be fetched, again and again until it is there."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.due = 0.0
        self._pause = FIRST_PAUSE_SECONDS

    def put_off(self, now: float) -> None:
        self.due = now + self._pause
        self._pause = min(2 * self._pause, LAST_PAUSE_SECONDS)


def find_created(block: Any) -> Iterator[Wanted]:
    """Models and inputs that a block's transactions create. Raises `PeerError` for what is no
    block."""
    transactions = block.get("transactions")
    for transaction in transactions if isinstance(transactions, list) else []:
        if not isinstance(transaction, dict) or transaction.get("to"):
            continue
        data = read_bytes(transaction.get("input") or transaction.get("data") or "0x")
        if not is_model(data) and not is_input(data):
            continue
        try:
            meta = decode_meta(data)
        except RlpError:
            continue  # the network refuses it too
        if 0 < meta.raw_size <= CONTENT_BYTES_LIMIT:
            yield Wanted(meta.hash, meta.raw_size)
