"""The bus over NATS and JetStream; it and the files it stands on alone import nats.

What is published while the server is away is dropped, not buffered: readings are stale by then,
and everything that must arrive goes through `append` or the plans bucket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import nats.errors
from nats.aio.msg import Msg

from farmctl.bus import M, R, Subscription
from farmctl.errors import BusError
from farmctl.messages import Message
from farmctl.nats_connection import FAILURES, Listening, bus_errors, join
from farmctl.nats_jetstream import JetStream

log = logging.getLogger(__name__)
#: How long requests that have come are still answered by one who leaves.
DRAIN_SECONDS = 2.0
ERROR_HEADER = "Farm-Error"


@dataclass(eq=False)
class _Served(Listening):
    """Requests that were delivered are still answered: nobody else would."""

    answering: set[asyncio.Task[None]]

    async def stop(self) -> None:
        await self._drain()
        if self.answering:
            await asyncio.wait(self.answering, timeout=DRAIN_SECONDS)

    async def _drain(self) -> None:
        with contextlib.suppress(*FAILURES, TimeoutError):
            drained: Awaitable[None] = self.subscription.drain()  # type: ignore[no-untyped-call]
            await asyncio.wait_for(drained, DRAIN_SECONDS)
            return
        await super().stop()


class NatsBus(JetStream):
    """Implements `farmctl.bus.Bus`; `connect` makes one."""

    async def __aenter__(self) -> NatsBus:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def publish(self, subject: str, message: Message) -> None:
        self._check_connected()
        with bus_errors(subject):
            await self._client.publish(subject, message.model_dump_json().encode())

    async def subscribe(
        self, subject: str, form: type[M], handler: Callable[[str, M], Awaitable[None]]
    ) -> Subscription:
        async def receive(raw: Msg) -> None:
            message = self._parse(form, raw)
            if message is not None:
                await handler(raw.subject, message)

        with bus_errors(subject):
            return Listening(await self._client.subscribe(subject, cb=receive))

    async def request(
        self, subject: str, message: Message, form: type[R], timeout_seconds: float = 5.0
    ) -> R:
        self._check_connected()
        payload = message.model_dump_json().encode()
        with bus_errors(subject):
            try:
                raw = await self._client.request(subject, payload, timeout=timeout_seconds)
            except nats.errors.NoRespondersError as error:
                raise BusError(f"nobody serves {subject}") from error
            except (nats.errors.TimeoutError, TimeoutError) as error:
                waited = f"no answer on {subject} within {timeout_seconds:g} s"
                raise BusError(waited) from error
        if raw.headers and ERROR_HEADER in raw.headers:
            raise BusError(f"{subject}: {raw.headers[ERROR_HEADER]}")
        reply = self._parse(form, raw)
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
        places, answering = asyncio.Semaphore(at_once), set[asyncio.Task[None]]()

        def settle(done: asyncio.Task[None]) -> None:
            answering.discard(done)
            places.release()

        async def receive(raw: Msg) -> None:
            await places.acquire()
            task = asyncio.create_task(answer(raw))
            answering.add(task)
            task.add_done_callback(settle)

        async def answer(raw: Msg) -> None:
            message = self._parse(form, raw)
            if message is None:
                await _answer_error(raw, "malformed request")
                return
            try:
                said = await handler(message)
            except Exception as error:
                log.exception("request on %s failed", subject)
                await _answer_error(raw, str(error))
                return
            with contextlib.suppress(*FAILURES):
                await raw.respond(said.model_dump_json().encode())

        with bus_errors(subject):
            subscription = await self._client.subscribe(subject, queue=queue, cb=receive)
            return _Served(subscription, answering)


async def _answer_error(raw: Msg, text: str) -> None:
    if not raw.reply:
        return
    line = text.replace("\r", " ").replace("\n", " ")[:500] or "failed"
    with contextlib.suppress(*FAILURES):
        await raw._client.publish(raw.reply, b"", headers={ERROR_HEADER: line})


async def connect(url: str, seed: Path | None, name: str, timeout_seconds: float = 10.0) -> NatsBus:
    """Join the bus at ``url`` with the nkey seed kept in a file, and stay joined: reconnects
    without end. With a ``tls://`` URL the certificates lie beside the seed. Raises `BusError` if
    the first connection fails within the time."""
    bells: set[asyncio.Event] = set()
    return NatsBus(await join(url, seed, name, timeout_seconds, bells), bells)
