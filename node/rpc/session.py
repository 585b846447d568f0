"""A connection that lasts (WebSocket, Unix socket): requests, answers, subscriptions.

Requests of one connection are worked on side by side, up to a bound: a client that does not read
its answers is not read from. One that does not read its notifications is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from node.rpc.dispatcher import Dispatcher, OwnMethods, render
from node.rpc.errors import InvalidParams, ServerError
from node.rpc.settings import RpcSettings
from node.rpc.subscriptions import Feed, Subscription, parse_subscription

SPACES = ("eth", "ctxc")
AT_ONCE = 16
#: Notifications that wait for a slow reader, and their bytes.
MAX_WAITING = 4096
MAX_WAITING_BYTES = 8 * 1024**2


class SlowReader(Exception):
    """The client does not read what it subscribed to."""


class Session:
    """``send`` writes one message and returns when there is room for the next."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        feed: Feed,
        settings: RpcSettings,
        client: str | None,
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._dispatcher = dispatcher
        self._feed = feed
        self._settings = settings
        self._client = client
        self._send = send
        self._outbox: asyncio.Queue[tuple[bytes, asyncio.Event]] = asyncio.Queue()
        self._waiting_bytes = 0
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._answers: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, Subscription] = {}
        self._is_slow = asyncio.Event()
        self._own: OwnMethods = {
            **{f"{space}_subscribe": partial(self._subscribe, space) for space in SPACES},
            **{f"{space}_unsubscribe": self._unsubscribe for space in SPACES},
        }

    async def serve(self, messages: AsyncIterator[bytes]) -> None:
        """Until the client leaves. Raises `SlowReader`."""
        tasks = [
            asyncio.create_task(self._read(messages)),
            asyncio.create_task(self._write()),
            asyncio.create_task(self._await_slowness()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for subscription in self._subscriptions.values():
                self._feed.remove(subscription)
            for task in (*tasks, *self._answers):
                task.cancel()
            await asyncio.gather(*tasks, *self._answers, return_exceptions=True)
        for task in done:
            task.result()

    async def _read(self, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            await self._slots.acquire()
            task = asyncio.create_task(self._answer(message))
            self._answers.add(task)
            task.add_done_callback(self._end_answer)

    def _end_answer(self, task: asyncio.Task[None]) -> None:
        self._answers.discard(task)
        self._slots.release()

    async def _answer(self, message: bytes) -> None:
        before = set(self._subscriptions)
        reply = await self._dispatcher.answer_bytes(message, self._client, self._own)
        sent = self._put(render(reply)) if reply is not None else None
        # What it subscribed to comes after the answer that names the subscription.
        for ident in self._subscriptions.keys() - before:
            self._feed.add(self._subscriptions[ident])
        if sent is not None:
            await sent.wait()

    def _put(self, text: bytes) -> asyncio.Event:
        sent = asyncio.Event()
        self._waiting_bytes += len(text)
        self._outbox.put_nowait((text, sent))
        return sent

    async def _write(self) -> None:
        while True:
            text, sent = await self._outbox.get()
            await self._send(text)
            self._waiting_bytes -= len(text)
            sent.set()

    def _push(self, subscription: Subscription, result: Any) -> None:
        if self._outbox.qsize() >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._is_slow.set()
            return
        params = {"subscription": subscription.ident, "result": result}
        method = f"{subscription.space}_subscription"
        self._put(render({"jsonrpc": "2.0", "method": method, "params": params}))

    async def _await_slowness(self) -> None:
        await self._is_slow.wait()
        raise SlowReader

    async def _subscribe(self, space: str, params: list[Any]) -> str:
        if len(self._subscriptions) >= self._settings.max_subscriptions:
            raise ServerError(
                f"at most {self._settings.max_subscriptions} subscriptions; end one first"
            )
        subscription = parse_subscription(space, params, self._push)
        self._subscriptions[subscription.ident] = subscription
        return subscription.ident

    async def _unsubscribe(self, params: list[Any]) -> bool:
        if len(params) != 1 or not isinstance(params[0], str):
            raise InvalidParams("expected the subscription's id")
        found = self._subscriptions.pop(params[0], None)
        if found is not None:
            self._feed.remove(found)
        return found is not None
