"""Passing on what is new: transactions and blocks, to each peer once.

Whole to a few peers and by hash to the others. Transactions pass the mempool's rules before they
are passed on, a block its import, so nonsense ends at the first honest node.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

from node.core import Node
from node.errors import RefusalReason, StoreError, TransactionRefused
from node.importing import Imported, is_fault
from node.peers.errors import FeedMisbehaves, PeerError
from node.peers.feed import FeedStatus
from node.peers.limits import Known
from node.peers.session import Session
from node.peers.wire import (
    MAX_HASHES,
    MAX_TRANSACTIONS,
    REPLY_BYTES,
    Kind,
    encode_hashes,
    encode_new_block,
    encode_status,
)
from node.spec.types import Block, Transaction

log = logging.getLogger(__name__)

#: At least so many peers are sent a thing whole; with many peers, a square root of them.
WHOLE_TO = 3
#: More transactions than this are told by hash, and fetched at the other side's pace.
MOST_WHOLE = 64
MAX_WANTED = 4096
WANT_SECONDS = 10.0
FLOOD_POINTS = 10.0
WAITING_BLOCKS = 16

#: Whatever the state of the chain, no honest node passes such a transaction on.
NEVER_VALID = frozenset({RefusalReason.BAD_SIGNATURE, RefusalReason.OVERSIZED})


class Outside(Protocol):
    """A feed without a session: it is told of transactions, and asked for everything else."""

    @property
    def known_transactions(self) -> Known: ...

    async def send_transactions(self, transactions: Sequence[Transaction]) -> None: ...


Blame = Callable[[Session, float, str], None]


class Gossip:
    """``blame`` counts points against a peer, ``seek`` looks at the feeds soon."""

    def __init__(
        self,
        node: Node,
        import_blocks: Callable[[Sequence[Block]], Awaitable[Imported]],
        blame: Blame,
        seek: Callable[[], None],
    ) -> None:
        self._node, self._import = node, import_blocks
        self._blame, self._seek = blame, seek
        self._wanted: dict[bytes, float] = {}
        self._blocks: asyncio.Queue[tuple[Session, Block]] = asyncio.Queue(WAITING_BLOCKS)
        self._fetching: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Import the blocks that peers push, one after the other."""
        try:
            while True:
                session, block = await self._blocks.get()
                await self._take_block(session, block)
        finally:
            for task in self._fetching:
                task.cancel()

    def hear_head(self, session: Session) -> None:
        if self._node.store.header(session.status.head_hash) is None:
            self._seek()

    def hear_block(self, session: Session, block: Block) -> None:
        """A block whose parent is known is imported at once; any other is only news of a head."""
        if self._node.store.header(block.header.parent_hash) is None or self._blocks.full():
            self._seek()
        else:
            self._blocks.put_nowait((session, block))

    def hear_hashes(self, session: Session, hashes: list[bytes]) -> None:
        """Ask for those that nobody was asked for yet."""
        session.known_transactions.add(hashes)
        now = time.monotonic()
        self._wanted = {h: t for h, t in self._wanted.items() if now - t < WANT_SECONDS}
        new = [h for h in hashes if h not in self._node.mempool and h not in self._wanted]
        new = new[: MAX_WANTED - len(self._wanted)]
        if new:
            self._wanted.update(dict.fromkeys(new, now))
            task = asyncio.create_task(self._fetch(session, new))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)

    async def hear_transactions(self, session: Session, found: list[Transaction]) -> None:
        session.known_transactions.add(t.hash() for t in found)
        if not session.transaction_allowance.take(len(found)):
            self._blame(session, FLOOD_POINTS, "it sends transactions too fast")
            return
        await asyncio.to_thread(self._judge, found)

    def greet(self, session: Session) -> None:
        """A peer is new: what it claims to have may be wanted here."""
        self.hear_head(session)

    async def tell_outside(self, feed: Outside) -> None:
        """Offer a node behind a JSON-RPC the transactions that it was not told of."""
        if news := self._unknown_to(feed.known_transactions):
            await feed.send_transactions(news)

    async def tell(self, sessions: Collection[Session]) -> None:
        """Tell each peer of the head and the transactions that it does not know of."""
        await self._tell_head(sessions)
        await self._tell_transactions(sessions)

    def _unknown_to(self, known: Known) -> list[Transaction]:
        """Some waiting transactions that a peer was not told of."""
        pool = self._node.mempool
        news = islice((h for h in pool.hashes() if h not in known), MOST_WHOLE)
        return [t for t in map(pool.get, news) if t is not None]

    async def _take_block(self, session: Session, block: Block) -> None:
        try:
            imported = await self._import([block])
        except StoreError as error:
            log.warning("a block is not in: %s", error, extra={"action": "block_failed"})
            return
        if is_fault(imported.failure):
            reason = f"an invalid block: {imported.failure}"
            self._blame(session, FeedMisbehaves.points, reason)
        elif imported.failure is not None:
            log.info("a block waits: %s", imported.failure, extra={"action": "block_waits"})

    async def _fetch(self, session: Session, hashes: list[bytes]) -> None:
        try:
            for start in range(0, len(hashes), MAX_TRANSACTIONS):
                asked = hashes[start : start + MAX_TRANSACTIONS]
                await self.hear_transactions(session, await session.transactions(asked))
        except PeerError as error:
            self._blame(session, error.points, str(error))
        finally:
            for key in hashes:
                self._wanted.pop(key, None)

    def _judge(self, found: list[Transaction]) -> None:
        """Into the mempool with what it takes. Raises `FeedMisbehaves`."""
        for transaction in found:
            if transaction.hash() in self._node.mempool:
                continue
            try:
                self._node.send(transaction)
            except TransactionRefused as error:
                if error.reason in NEVER_VALID:
                    raise FeedMisbehaves(f"an invalid transaction: {error}") from error
            except StoreError as error:
                log.warning("cannot keep: %s", error, extra={"action": "transaction_failed"})
                return

    async def _tell_head(self, sessions: Collection[Session]) -> None:
        status, block = await asyncio.to_thread(self._read_head)
        ignorant = [s for s in sessions if status.head_hash not in s.known_blocks]
        if not ignorant or block is None:
            return
        whole = encode_new_block(block, status.total_difficulty)
        for place, session in enumerate(_shuffled(ignorant)):
            session.known_blocks.add([status.head_hash])
            with suppress(PeerError):  # its own task sees the end of it
                if place < _few(len(sessions)):
                    session.known_transactions.add(t.hash() for t in block.transactions)
                    session.send(Kind.NEW_BLOCK, whole)
                else:
                    session.send(Kind.NEW_HEAD, encode_status(status))

    def _read_head(self) -> tuple[FeedStatus, Block | None]:
        key = self._node.head().hash()
        block = self._node.store.block(key)
        total = self._node.store.total_difficulty(key) or 0
        return FeedStatus(key, block.header.number if block else 0, total), block

    async def _tell_transactions(self, sessions: Collection[Session]) -> None:
        waiting = self._node.mempool.hashes()
        for place, session in enumerate(_shuffled(sessions)):
            news = [h for h in waiting if h not in session.known_transactions]
            with suppress(PeerError):
                if place < _few(len(sessions)) and len(news) <= MOST_WHOLE:
                    await self._send_whole(session, news)
                else:
                    self._send_hashes(session, news)

    async def _send_whole(self, session: Session, hashes: Sequence[bytes]) -> None:
        found = (self._node.mempool.get(key) for key in hashes)
        batch: list[Transaction] = []
        size = 0
        for transaction in found:
            if transaction is None:
                continue
            batch.append(transaction)
            size += len(transaction.encode())
            if len(batch) == MAX_TRANSACTIONS or size >= REPLY_BYTES:
                await session.send_transactions(batch)
                batch, size = [], 0
        if batch:
            await session.send_transactions(batch)

    def _send_hashes(self, session: Session, hashes: Sequence[bytes]) -> None:
        rest = iter(hashes)
        while batch := list(islice(rest, MAX_HASHES)):
            session.known_transactions.add(batch)
            session.send(Kind.TRANSACTION_HASHES, encode_hashes(batch))


def _few(count: int) -> int:
    return max(WHOLE_TO, math.isqrt(count))


def _shuffled(sessions: Collection[Session]) -> list[Session]:
    return random.sample(list(sessions), len(sessions))
