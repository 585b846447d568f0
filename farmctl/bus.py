"""The message bus: what the farm's parts need of it.

`Bus` is the contract. `farmctl.nats_bus` is the real one; `farmctl.memory_bus` is one of the
same contract inside a process, for tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from farmctl.messages import Message

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Message)


class Subscription(Protocol):
    async def stop(self) -> None: ...


class Bus(Protocol):
    """Every coroutine raises `farmctl.errors.BusError` when the bus cannot be reached in
    time. A malformed message is logged, counted and dropped before a handler sees it."""

    async def publish(self, subject: str, message: Message) -> None:
        """Fire and forget; may be lost."""

    async def append(self, subject: str, message: Message, message_id: str) -> None:
        """To the durable stream ``event.*``: acknowledged by the server, de-duplicated by id."""

    async def subscribe(
        self, subject: str, form: type[M], handler: Callable[[str, M], Awaitable[None]]
    ) -> Subscription:
        """Call ``handler(subject, message)``; ``subject`` may end in ``*`` or ``>``."""
        ...

    async def consume(
        self,
        subject: str,
        durable: str,
        form: type[M],
        handler: Callable[[str, M], Awaitable[None]],
    ) -> Subscription:
        """Durable consumer of the stream: each message is acknowledged after
        ``handler(subject, message)`` returned, and comes again if it raised."""
        ...

    async def request(
        self, subject: str, message: Message, form: type[R], timeout_seconds: float = 5.0
    ) -> R: ...

    async def serve(
        self,
        subject: str,
        form: type[M],
        handler: Callable[[M], Awaitable[Message]],
        queue: str = "",
        at_once: int = 1,
    ) -> Subscription:
        """Answer requests; with ``queue`` only one of the group's members gets each. So many are
        handed over at once; others wait for those to be answered."""
        ...

    async def put(self, bucket: str, key: str, message: Message) -> None:
        """Latest value of a key, kept by the server."""

    async def get(self, bucket: str, key: str, form: type[M]) -> M | None: ...

    def watch(self, bucket: str, key: str, form: type[M]) -> AsyncIterator[M]:
        """The present value, if any, then each new one."""
        ...

    async def close(self) -> None: ...
