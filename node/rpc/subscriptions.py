"""Subscriptions: what clients are told without asking, and who tells them.

One task follows the chain and the mempool while anybody listens. Where a client reads too slowly
its connection is dropped (`node.rpc.session`); nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from node.core import Node
from node.rpc.errors import InvalidParams
from node.rpc.following import Step, follow, step_logs
from node.rpc.forms import hexbytes, parse_flag
from node.rpc.methods.network import syncing
from node.rpc.queries import LogQuery, parse_query
from node.rpc.views import common_header_view, header_view, transaction_view
from node.spec.transaction import Transaction

#: Blocks told at once; a node that catches up tells them in portions.
STEP_BLOCKS = 64
RETRY_SECONDS = 1.0
#: The end of syncing is no change of the chain: it is looked for so often.
LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


class Topic(StrEnum):
    NEW_HEADS = "newHeads"
    LOGS = "logs"
    PENDING = "newPendingTransactions"
    SYNCING = "syncing"


@dataclass(frozen=True, eq=False)
class Subscription:
    """``push`` takes each notification's result, on the event loop."""

    topic: Topic
    space: str
    """``eth`` or ``ctxc``, as it was asked for: headers have the fields of that kind of chain."""
    push: Callable[[Subscription, Any], None]
    query: LogQuery = field(default_factory=LogQuery)
    whole: bool = False
    """Of pending transactions: all of each, not its hash alone."""
    ident: str = field(default_factory=lambda: "0x" + secrets.token_hex(16))


def parse_subscription(
    space: str, params: list[Any], push: Callable[[Subscription, Any], None]
) -> Subscription:
    """Raises `InvalidParams`."""
    name, *rest = params or [None]
    if name not in tuple(Topic) or len(rest) > 1:
        raise InvalidParams(f"subscribe to one of {', '.join(Topic)}")
    topic, option = Topic(name), rest[0] if rest else None
    if topic is Topic.LOGS:
        return Subscription(topic, space, push, parse_query({} if option is None else option))
    if topic is Topic.PENDING:
        return Subscription(topic, space, push, whole=parse_flag(option or False))
    return Subscription(topic, space, push)


@dataclass(frozen=True)
class News:
    """What happened since the last look."""

    step: Step
    transactions: tuple[Transaction, ...]
    arrival: int
    syncing: Any


class Feed:
    """Tells the subscribers. All but `look` and `results` is for the event loop alone."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._subscriptions: set[Subscription] = set()
        self._changed = asyncio.Event()
        self._seen = b""
        self._arrival = 0
        self._syncing: Any = False

    def add(self, subscription: Subscription) -> None:
        if not self._subscriptions:
            self._seen = self._node.head().hash()
            self._arrival = self._node.mempool.arrivals
            self._syncing = syncing(self._node)
        self._subscriptions.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        self._node.on_change(lambda: _wake(loop, self._changed))
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._tell()
            except Exception:  # the top of a loop: the next news may do
                log.exception("news were not told", extra={"action": "feed_failed"})
                await asyncio.sleep(RETRY_SECONDS)
                self._changed.set()

    async def _tell(self) -> None:
        while self._subscriptions:
            news = await asyncio.to_thread(self.look)
            listeners = list(self._subscriptions)
            told = await asyncio.to_thread(
                lambda: [(s, list(self.results(s, news))) for s in listeners]  # noqa: B023
            )
            self._seen, self._arrival = news.step.seen, news.arrival
            self._syncing = news.syncing
            for subscription, results in told:
                self._push(subscription, results)
            if news.step.is_last:
                return

    def _push(self, subscription: Subscription, results: list[Any]) -> None:
        for result in results:
            if subscription in self._subscriptions:  # not dropped meanwhile
                subscription.push(subscription, result)

    def look(self) -> News:
        step = follow(self._node, self._seen, STEP_BLOCKS)
        arrival, transactions = self._node.mempool.since(self._arrival)
        return News(step, tuple(transactions), arrival, syncing(self._node))

    def results(self, subscription: Subscription, news: News) -> Iterator[Any]:
        """What one subscriber is told."""
        if subscription.topic is Topic.NEW_HEADS:
            for header in news.step.adopted:
                whole = subscription.space == "ctxc"
                yield header_view(header, None) if whole else common_header_view(header)
        elif subscription.topic is Topic.LOGS:
            yield from step_logs(self._node, news.step, subscription.query)
        elif subscription.topic is Topic.PENDING:
            for transaction in news.transactions:
                yield (
                    transaction_view(self._node.chain, transaction, None, None)
                    if subscription.whole
                    else hexbytes(transaction.hash())
                )
        elif news.syncing != self._syncing:
            status = {"syncing": True, "status": news.syncing}
            yield status if news.syncing else False


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)
