"""A farm node that is connected: its requests answered, its news passed on, itself a feed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from node.peers.errors import FeedMisbehaves, FeedUnavailable, FeedUseless, PeerError, PeerRefused
from node.peers.feed import MAX_BODIES, FeedStatus
from node.peers.library import Library
from node.peers.limits import Allowance, Known, PeerLimits
from node.peers.link import Link, Prefix
from node.peers.wire import (
    MAX_HASHES,
    MAX_TRANSACTIONS,
    REPLIES,
    REPLY_KINDS,
    Kind,
    decode_bodies,
    decode_hashes,
    decode_headers,
    decode_new_block,
    decode_range,
    decode_status,
    decode_text,
    decode_transactions,
    encode_hashes,
    encode_range,
    encode_status,
)
from node.spec import rlp
from node.spec.types import Block, Header, Transaction

MAX_REQUESTS = 8
MAX_LATE = 64
#: Twice what the mempool holds by default: no transaction is told twice.
KNOWN_TRANSACTIONS = 16_384
KNOWN_BLOCKS = 1024

T = TypeVar("T")


class News(Protocol):
    """What becomes of what a peer tells unasked."""

    def hear_head(self, session: Session) -> None: ...

    def hear_block(self, session: Session, block: Block) -> None: ...

    def hear_hashes(self, session: Session, hashes: list[bytes]) -> None: ...

    async def hear_transactions(self, session: Session, found: list[Transaction]) -> None: ...


@dataclass(frozen=True)
class _Request:
    kind: Kind
    reply: asyncio.Future[bytes]


class Session:
    """A `node.peers.feed.Feed`. `run` serves the connection until it ends."""

    kind = "farm"

    def __init__(
        self,
        name: str,
        link: Link,
        status: FeedStatus,
        library: Library,
        news: News,
        limits: PeerLimits,
        fingerprint: str,
        host: str = "",
    ) -> None:
        """``host`` is where the other side dialled from; empty where this node dialled."""
        self.name, self.fingerprint, self.host = name, fingerprint, host
        self.status = status
        self.known_transactions = Known(KNOWN_TRANSACTIONS)
        self.known_blocks = Known(KNOWN_BLOCKS)
        self.transaction_allowance = Allowance(
            limits.transactions_per_second, limits.transaction_burst
        )
        self._block_allowance = Allowance(limits.blocks_per_second, limits.block_burst)
        self._request_allowance = Allowance(limits.requests_per_second, limits.request_burst)
        self._link, self._library, self._news, self._limits = link, library, news, limits
        self._numbers = itertools.count(1)
        self._requests: dict[int, _Request] = {}
        self._late = Known(MAX_LATE)
        self._room = asyncio.Semaphore(MAX_REQUESTS)
        self._ended: PeerError | None = None
        self.known_blocks.add([status.head_hash])

    @property
    def inbound(self) -> bool:
        return bool(self.host)

    async def run(self) -> None:
        """Until the connection ends; raises the `PeerError` that ended it."""
        pinging = asyncio.create_task(self._ping())
        try:
            while True:
                await self._take(await self._link.read_prefix())
        except rlp.RlpError as error:
            self._ended = FeedMisbehaves(f"a message cannot be read: {error}")
            raise self._ended from error
        except PeerError as error:
            self._ended = error
            raise
        finally:
            pinging.cancel()
            self._give_up()

    async def close(self, reason: str = "this node stops") -> None:
        await self._link.leave(reason)

    async def refresh(self) -> FeedStatus:
        reply = await self.ask(Kind.PING, encode_status(await self._own_status()))
        self.status = _read(decode_status, reply)
        return self.status

    async def headers(self, first: int, count: int) -> list[Header]:
        return _read(decode_headers, await self.ask(Kind.GET_HEADERS, encode_range(first, count)))

    async def bodies(self, headers: Sequence[Header]) -> list[Block]:
        asked = headers[:MAX_BODIES]
        reply = await self.ask(Kind.GET_BODIES, encode_hashes([h.hash() for h in asked]))
        try:
            blocks = await asyncio.to_thread(decode_bodies, reply, asked)
        except rlp.RlpError as error:
            raise FeedMisbehaves(f"a body cannot be read: {error}") from error
        if asked and not blocks:
            raise FeedUseless(f"it gives no body for its block {asked[0].number}")
        return blocks

    async def transactions(self, hashes: Sequence[bytes]) -> list[Transaction]:
        """Those of at most `MAX_TRANSACTIONS` that it still has."""
        asked = list(hashes[:MAX_TRANSACTIONS])
        found = _read(
            decode_transactions, await self.ask(Kind.GET_TRANSACTIONS, encode_hashes(asked))
        )
        if not {t.hash() for t in found} <= set(asked):
            raise FeedMisbehaves("it sends transactions that were not asked for")
        return found

    async def send_transactions(self, transactions: Sequence[Transaction]) -> None:
        self.known_transactions.add(t.hash() for t in transactions)
        self._link.send(Kind.TRANSACTIONS, rlp.join_list([t.encode() for t in transactions]))

    def send(self, kind: Kind, payload: bytes) -> None:
        """Something unasked. Raises `FeedUnavailable`."""
        self._link.send(kind, payload)

    async def _own_status(self) -> FeedStatus:
        return await asyncio.to_thread(self._library.status)

    async def ask(self, kind: Kind, payload: bytes) -> bytes:
        """The payload of the reply to a request. Raises `PeerError`."""
        if self._ended is not None:
            raise self._ended
        async with self._room:
            number = next(self._numbers) & 0xFFFFFFFF
            reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._requests[number] = _Request(REPLIES[kind], reply)
            try:
                self._link.send(kind, payload, number)
                async with asyncio.timeout(self._limits.request_seconds):
                    return await reply
            except TimeoutError as error:
                raise FeedUnavailable(f"no answer to {kind.name} in time") from error
            finally:
                del self._requests[number]
                if reply.cancelled():  # too late, or nobody wants it any more: it may still come
                    self._late.add([number.to_bytes(4, "big")])

    async def _take(self, prefix: Prefix) -> None:
        if prefix.kind in REPLY_KINDS:
            return await self._take_reply(prefix)
        if prefix.kind in REPLIES:
            await asyncio.sleep(self._request_allowance.wait_seconds())
        payload = await self._link.read_payload(prefix)
        if prefix.kind in REPLIES:
            await self._serve(prefix, payload)
        else:
            await self._hear(prefix.kind, payload)

    async def _take_reply(self, prefix: Prefix) -> None:
        """Refused before it is read where nothing was asked."""
        request = self._requests.get(prefix.request)
        is_late = prefix.request.to_bytes(4, "big") in self._late
        if not is_late and (request is None or request.kind is not prefix.kind):
            raise FeedMisbehaves(f"it sends {prefix.kind.name} that was not asked for")
        payload = await self._link.read_payload(prefix)
        if request is not None and not request.reply.done():
            request.reply.set_result(payload)

    async def _serve(self, prefix: Prefix, payload: bytes) -> None:
        reply = await asyncio.to_thread(self._answer, prefix.kind, payload)
        self._link.send(REPLIES[prefix.kind], reply, prefix.request)

    def _answer(self, kind: Kind, payload: bytes) -> bytes:
        if kind is Kind.PING:
            self.status = decode_status(payload)
            return encode_status(self._library.status())
        if kind is Kind.GET_HEADERS:
            return self._library.headers(*decode_range(payload))
        if kind is Kind.GET_BODIES:
            return self._library.bodies(decode_hashes(payload, MAX_BODIES))
        return self._library.transactions(decode_hashes(payload, MAX_TRANSACTIONS))

    async def _hear(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.TRANSACTIONS:
            await self._news.hear_transactions(self, decode_transactions(payload))
        elif kind is Kind.TRANSACTION_HASHES:
            self._news.hear_hashes(self, decode_hashes(payload, MAX_HASHES))
        elif kind is Kind.GOODBYE:
            raise PeerRefused(f"it says: {decode_text(payload)}")
        elif kind is Kind.HELLO:
            raise FeedMisbehaves("it greets twice")
        else:
            await asyncio.sleep(self._block_allowance.wait_seconds())
            await self._hear_head(kind, payload)

    async def _hear_head(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.NEW_HEAD:
            self.status = decode_status(payload)
            self.known_blocks.add([self.status.head_hash])
            return self._news.hear_head(self)
        block, total = await asyncio.to_thread(decode_new_block, payload)
        self.status = FeedStatus(block.hash(), block.header.number, total)
        self.known_blocks.add([block.hash()])
        self.known_transactions.add(t.hash() for t in block.transactions)
        self._news.hear_block(self, block)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._limits.ping_seconds)
            try:
                await self.refresh()
            except PeerError:
                continue  # the reading side notices a connection that is lost

    def _give_up(self) -> None:
        ended = self._ended or FeedUnavailable("the connection is closed")
        self._ended = ended
        for request in self._requests.values():
            if not request.reply.done():
                request.reply.set_exception(ended)
                request.reply.exception()  # seen, also where nobody waits


def _read(decode: Callable[[bytes], T], payload: bytes) -> T:
    try:
        return decode(payload)
    except rlp.RlpError as error:
        raise FeedMisbehaves(f"an answer cannot be read: {error}") from error
