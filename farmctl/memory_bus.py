"""A bus of the same contract as `farmctl.nats_bus` inside one process, for tests.

Messages cross it as JSON, so that what NATS would refuse is refused here too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from farmctl.bus import M, R, Subscription
from farmctl.errors import BusError
from farmctl.messages import Message

log = logging.getLogger(__name__)
STREAM_LIMIT = 100_000
RETRY_SECONDS = 0.05
Deliver = Callable[[str, bytes], Awaitable[bytes | None]]


@dataclass(eq=False)
class _Listener:
    pattern: str
    queue: str
    deliver: Deliver
    bus: MemoryBus

    async def stop(self) -> None:
        if self in self.bus.listeners:
            self.bus.listeners.remove(self)


@dataclass
class _Durable:
    """Position of a durable consumer in the stream; kept when it stops."""

    position: int = 0


@dataclass(eq=False)
class _Consumer:
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass(eq=False)
class MemoryBus:
    """Implements `farmctl.bus.Bus`."""

    listeners: list[_Listener] = field(default_factory=list)
    malformed: int = 0
    _stream: list[tuple[str, bytes]] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)
    _durables: dict[str, _Durable] = field(default_factory=dict)
    _values: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[bytes | None]] = field(default_factory=set)
    _turn: deque[int] = field(default_factory=lambda: deque([0]))
    _closed: bool = False

    async def publish(self, subject: str, message: Message) -> None:
        self._check_open()
        payload = message.model_dump_json().encode()
        for listener in self._receivers(subject):
            self._spawn(listener, subject, payload)

    async def append(self, subject: str, message: Message, message_id: str) -> None:
        self._check_open()
        async with self._changed:
            if message_id not in self._ids:
                if len(self._stream) >= STREAM_LIMIT:
                    raise BusError(f"the memory bus holds {STREAM_LIMIT} messages already")
                self._ids.add(message_id)
                self._stream.append((subject, message.model_dump_json().encode()))
                self._changed.notify_all()

    async def subscribe(
        self, subject: str, form: type[M], handler: Callable[[str, M], Awaitable[None]]
    ) -> Subscription:
        async def deliver(actual: str, payload: bytes) -> None:
            message = self._parse(form, actual, payload)
            if message is not None:
                await handler(actual, message)

        return self._listen(subject, "", deliver)

    async def consume(
        self,
        subject: str,
        durable: str,
        form: type[M],
        handler: Callable[[str, M], Awaitable[None]],
    ) -> Subscription:
        self._check_open()
        place = self._durables.setdefault(durable, _Durable())

        async def run() -> None:
            while True:
                actual, payload = await self._next(place)
                message = self._parse(form, actual, payload) if matches(subject, actual) else None
                try:
                    if message is not None:
                        await handler(actual, message)
                    place.position += 1
                except Exception:
                    log.exception("handler of %s failed; the message comes again", actual)
                    await asyncio.sleep(RETRY_SECONDS)

        return _Consumer(asyncio.create_task(run()))

    async def _next(self, place: _Durable) -> tuple[str, bytes]:
        async with self._changed:
            await self._changed.wait_for(lambda: place.position < len(self._stream))
            return self._stream[place.position]

    async def request(
        self, subject: str, message: Message, form: type[R], timeout_seconds: float = 5.0
    ) -> R:
        self._check_open()
        receivers = self._receivers(subject)
        if not receivers:
            raise BusError(f"nobody serves {subject}")
        task = self._spawn(receivers[0], subject, message.model_dump_json().encode())
        try:
            payload = await asyncio.wait_for(task, timeout_seconds)
        except TimeoutError as error:
            raise BusError(f"no answer on {subject} within {timeout_seconds:g} s") from error
        reply = self._parse(form, subject, payload or b"")
        if reply is None:
            raise BusError(f"malformed answer on {subject}")
        return reply

    async def serve(
        self,
        subject: str,
        form: type[M],
        handler: Callable[[M], Awaitable[Message]],
        queue: str = "",
        at_once: int = 1,
    ) -> Subscription:
        places = asyncio.Semaphore(at_once)

        async def deliver(actual: str, payload: bytes) -> bytes | None:
            message = self._parse(form, actual, payload)
            if message is None:
                raise BusError(f"malformed request on {actual}")
            try:
                async with places:
                    return (await handler(message)).model_dump_json().encode()
            except Exception as error:
                log.exception("request on %s failed", actual)
                raise BusError(f"{subject}: {error}") from error

        return self._listen(subject, queue or "served", deliver)

    async def put(self, bucket: str, key: str, message: Message) -> None:
        self._check_open()
        async with self._changed:
            self._values[bucket, key] = message.model_dump_json().encode()
            self._changed.notify_all()

    async def get(self, bucket: str, key: str, form: type[M]) -> M | None:
        self._check_open()
        payload = self._values.get((bucket, key))
        return None if payload is None else self._parse(form, f"{bucket}/{key}", payload)

    async def watch(self, bucket: str, key: str, form: type[M]) -> AsyncIterator[M]:
        last: bytes | None = None
        while True:
            async with self._changed:
                while self._values.get((bucket, key)) in (None, last):
                    await self._changed.wait()
                last = self._values[bucket, key]
            message = self._parse(form, f"{bucket}/{key}", last)
            if message is not None:
                yield message

    async def close(self) -> None:
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _check_open(self) -> None:
        if self._closed:
            raise BusError("the bus is closed")

    def _listen(self, subject: str, queue: str, deliver: Deliver) -> _Listener:
        self._check_open()
        listener = _Listener(subject, queue, deliver, self)
        self.listeners.append(listener)
        return listener

    def _receivers(self, subject: str) -> list[_Listener]:
        """Every plain listener, and one of each queue group by turns."""
        fitting = [one for one in self.listeners if matches(one.pattern, subject)]
        groups: dict[str, list[_Listener]] = {}
        for one in fitting:
            if one.queue:
                groups.setdefault(one.queue, []).append(one)
        self._turn[0] += 1
        chosen = [members[self._turn[0] % len(members)] for members in groups.values()]
        return chosen + [one for one in fitting if not one.queue]

    def _spawn(
        self, listener: _Listener, subject: str, payload: bytes
    ) -> asyncio.Task[bytes | None]:
        async def run() -> bytes | None:
            return await listener.deliver(subject, payload)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _parse(self, form: type[M], subject: str, payload: bytes) -> M | None:
        try:
            return form.model_validate_json(payload)
        except ValidationError as error:
            self.malformed += 1
            log.warning("malformed message on %s dropped: %s", subject, error.errors()[0]["msg"])
            return None


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject fits a pattern in which ``*`` is one word and ``>`` the rest."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        w in ("*", g) for w, g in zip(wanted, given, strict=True)
    )
