"""The bus over NATS and JetStream; the only importer of nats.

What is published while the server is away is dropped, not buffered: readings are stale by then,
and everything that must arrive goes through `append` or the plans bucket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js import JetStreamContext, api
from nats.js.errors import Error as JetStreamError
from nats.js.errors import KeyNotFoundError, NoStreamResponseError, NotFoundError
from nats.js.kv import KeyValue
from pydantic import ValidationError

from farmctl.bus import M, R, Subscription
from farmctl.bus_server import inbox, public_key
from farmctl.errors import BusError
from farmctl.fleet import authority
from farmctl.messages import Message

log = logging.getLogger(__name__)
STREAM = "EVENT"
STREAM_SUBJECTS = ["event.>"]
STREAM_MAX_BYTES = 1024**3
STREAM_MAX_AGE_SECONDS = 7 * 24 * 3600.0
DUPLICATE_WINDOW_SECONDS = 600.0
TIMEOUT_SECONDS = 3.0
#: How long requests that have come are still answered by one who leaves.
DRAIN_SECONDS = 2.0
#: A watcher reads the value again this often even if no change was announced.
WATCH_POLL_SECONDS = 10.0
#: An announced value that is not stored yet is first read again after twice this time.
ANNOUNCED_SECONDS = 0.005
RETRY_SECONDS = 1.0
BATCH = 64
#: What a consumer took and died with is given to its successor after this.
ACK_SECONDS = 10.0
ERROR_HEADER = "Farm-Error"
_FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)


@dataclass(eq=False)
class _Plain:
    subscription: NatsSubscription

    async def stop(self) -> None:
        with contextlib.suppress(*_FAILURES):
            await self.subscription.unsubscribe()


@dataclass(eq=False)
class _Served:
    """Requests that were delivered are still answered: nobody else would."""

    subscription: NatsSubscription

    async def stop(self) -> None:
        with contextlib.suppress(*_FAILURES, TimeoutError):
            drained: Awaitable[None] = self.subscription.drain()  # type: ignore[no-untyped-call]
            await asyncio.wait_for(drained, DRAIN_SECONDS)
            return
        await _Plain(self.subscription).stop()


@dataclass(eq=False)
class _Consumer:
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task], timeout=TIMEOUT_SECONDS)


class NatsBus:
    """Implements `farmctl.bus.Bus`; `connect` makes one."""

    def __init__(self, client: Client, bells: set[asyncio.Event]) -> None:
        self._client = client
        self._stream_context: JetStreamContext = client.jetstream(timeout=TIMEOUT_SECONDS)
        self._buckets: dict[str, KeyValue] = {}
        self._stream_ready = False
        self._bells = bells
        self._consumers: list[_Consumer] = []
        self.malformed = 0

    @property
    def connected(self) -> bool:
        return bool(self._client.is_connected)

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
        with _bus_errors(subject):
            await self._client.publish(subject, message.model_dump_json().encode())

    async def append(self, subject: str, message: Message, message_id: str) -> None:
        self._check_connected()
        payload = message.model_dump_json().encode()
        headers = {"Nats-Msg-Id": message_id}
        with _bus_errors(subject):
            await self._ensure_stream()
            try:
                await self._stream_context.publish(
                    subject, payload, timeout=TIMEOUT_SECONDS, headers=headers
                )
            except NoStreamResponseError:
                self._stream_ready = False  # the server lost its store; make the stream again
                raise

    async def subscribe(
        self, subject: str, form: type[M], handler: Callable[[str, M], Awaitable[None]]
    ) -> Subscription:
        async def receive(raw: Msg) -> None:
            message = self._parse(form, raw)
            if message is not None:
                await handler(raw.subject, message)

        with _bus_errors(subject):
            return _Plain(await self._client.subscribe(subject, cb=receive))

    async def consume(
        self,
        subject: str,
        durable: str,
        form: type[M],
        handler: Callable[[str, M], Awaitable[None]],
    ) -> Subscription:
        pulled = await self._pull(subject, durable)

        async def run() -> None:
            nonlocal pulled
            while not self._client.is_closed:
                try:
                    await self._consume_batch(pulled, form, handler)
                except TimeoutError:  # nothing came
                    continue
                except (*_FAILURES, BusError) as error:
                    log.warning("consumer %s: %s; trying again", durable, error)
                    await asyncio.sleep(RETRY_SECONDS)
                    with contextlib.suppress(BusError):
                        pulled = await self._pull(subject, durable)

        consumer = _Consumer(asyncio.create_task(run()))
        self._consumers.append(consumer)
        return consumer

    async def _pull(self, subject: str, durable: str) -> Any:
        self._check_connected()
        settings = api.ConsumerConfig(ack_wait=ACK_SECONDS, max_ack_pending=4 * BATCH)
        with _bus_errors(subject):
            self._stream_ready = False
            await self._ensure_stream()
            return await self._stream_context.pull_subscribe(
                subject, durable=durable, stream=STREAM, config=settings
            )

    async def _consume_batch(
        self, pulled: Any, form: type[M], handler: Callable[[str, M], Awaitable[None]]
    ) -> None:
        for raw in await pulled.fetch(BATCH, timeout=TIMEOUT_SECONDS):
            message = self._parse(form, raw)
            if message is None:
                await raw.term()
                continue
            try:
                await handler(raw.subject, message)
            except Exception:
                log.exception("handler of %s failed; the message comes again", raw.subject)
                await raw.nak(delay=RETRY_SECONDS)
            else:
                await raw.ack()

    async def request(
        self, subject: str, message: Message, form: type[R], timeout_seconds: float = 5.0
    ) -> R:
        self._check_connected()
        payload = message.model_dump_json().encode()
        with _bus_errors(subject):
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
    ) -> Subscription:
        async def receive(raw: Msg) -> None:
            message = self._parse(form, raw)
            if message is None:
                await _answer_error(raw, "malformed request")
                return
            try:
                answer = await handler(message)
            except Exception as error:
                log.exception("request on %s failed", subject)
                await _answer_error(raw, str(error))
                return
            with contextlib.suppress(*_FAILURES):
                await raw.respond(answer.model_dump_json().encode())

        with _bus_errors(subject):
            return _Served(await self._client.subscribe(subject, queue=queue, cb=receive))

    async def put(self, bucket: str, key: str, message: Message) -> None:
        self._check_connected()
        with _bus_errors(f"{bucket}/{key}"):
            await (await self._bucket(bucket)).put(key, message.model_dump_json().encode())

    async def get(self, bucket: str, key: str, form: type[M]) -> M | None:
        entry = await self._entry(bucket, key)
        return None if entry is None else self._validate(form, f"{bucket}/{key}", entry[1])

    async def watch(self, bucket: str, key: str, form: type[M]) -> AsyncIterator[M]:
        """A change rings a bell by a plain subscription; the value is then read. So neither a
        server's restart nor a lost announcement leaves the watcher behind. A bell may be heard
        before the server has stored the value: then it is read again, soon and ever later."""
        bell = asyncio.Event()
        announced = b""

        async def ring(change: Msg) -> None:
            nonlocal announced
            announced = change.data
            bell.set()

        with _bus_errors(f"{bucket}/{key}"):
            listening = await self._client.subscribe(f"$KV.{bucket}.{key}", cb=ring)
        self._bells.add(bell)
        try:
            revision, patience = -1, ANNOUNCED_SECONDS
            while True:
                bell.clear()
                entry = await self._entry_or_none(bucket, key)
                if entry is not None and entry[0] != revision:
                    revision = entry[0]
                    message = self._validate(form, f"{bucket}/{key}", entry[1])
                    if message is not None:
                        yield message
                behind = bool(announced) and (entry is None or entry[1] != announced)
                patience = min(2 * patience, WATCH_POLL_SECONDS) if behind else WATCH_POLL_SECONDS
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), patience)
                    patience = ANNOUNCED_SECONDS
        finally:
            self._bells.discard(bell)
            await _Plain(listening).stop()

    async def close(self) -> None:
        await asyncio.gather(*(consumer.stop() for consumer in self._consumers))
        with contextlib.suppress(*_FAILURES):
            await self._client.close()

    async def _entry(self, bucket: str, key: str) -> tuple[int, bytes] | None:
        """Revision and value of a key."""
        self._check_connected()
        with _bus_errors(f"{bucket}/{key}"):
            try:
                entry = await (await self._bucket(bucket)).get(key)
            except KeyNotFoundError:
                return None
        return (entry.revision or 0, entry.value or b"")

    async def _entry_or_none(self, bucket: str, key: str) -> tuple[int, bytes] | None:
        try:
            return await self._entry(bucket, key)
        except BusError as error:
            log.warning("cannot read %s/%s: %s", bucket, key, error)
            self._buckets.pop(bucket, None)
            return None

    async def _bucket(self, name: str) -> KeyValue:
        if name not in self._buckets:
            try:
                self._buckets[name] = await self._stream_context.key_value(name)
            except NotFoundError:
                self._buckets[name] = await self._stream_context.create_key_value(
                    api.KeyValueConfig(
                        bucket=name, history=1, max_bytes=STREAM_MAX_BYTES, direct=True
                    )
                )
        return self._buckets[name]

    async def _ensure_stream(self) -> None:
        if self._stream_ready:
            return
        try:
            await self._stream_context.stream_info(STREAM)
        except NotFoundError:
            await self._stream_context.add_stream(
                name=STREAM,
                subjects=STREAM_SUBJECTS,
                max_bytes=STREAM_MAX_BYTES,
                max_age=STREAM_MAX_AGE_SECONDS,
                duplicate_window=DUPLICATE_WINDOW_SECONDS,
            )
        self._stream_ready = True

    def _check_connected(self) -> None:
        if not self._client.is_connected:
            raise BusError("not connected to the message bus at the moment; trying to reconnect")

    def _parse(self, form: type[M], raw: Msg) -> M | None:
        return self._validate(form, raw.subject, raw.data)

    def _validate(self, form: type[M], subject: str, payload: bytes) -> M | None:
        try:
            return form.model_validate_json(payload)
        except ValidationError as error:
            self.malformed += 1
            log.warning("malformed message on %s dropped: %s", subject, error.errors()[0]["msg"])
            return None


class _bus_errors:
    """Turns the client's errors into `BusError`."""

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, _FAILURES) and not isinstance(error, BusError):
            raise BusError(f"{self._subject}: {error or type(error).__name__}") from error


async def _answer_error(raw: Msg, text: str) -> None:
    if not raw.reply:
        return
    line = text.replace("\r", " ").replace("\n", " ")[:500] or "failed"
    with contextlib.suppress(*_FAILURES):
        await raw._client.publish(raw.reply, b"", headers={ERROR_HEADER: line})


def _credentials(url: str, seed: Path | None) -> dict[str, Any]:
    """Options of the client by which both sides prove who they are."""
    if seed is None:
        return {}
    options: dict[str, Any] = {"nkeys_seed": str(seed), "inbox_prefix": inbox(public_key(seed))}
    if urlsplit(url).scheme == "tls" and (seed.parent / authority.CA_CERTIFICATE).exists():
        context = authority.client_context(seed.parent)
        options |= {"tls": context, "tls_hostname": authority.BUS_NAME, "tls_handshake_first": True}
    return options


async def connect(url: str, seed: Path | None, name: str, timeout_seconds: float = 10.0) -> NatsBus:
    """Join the bus at ``url`` with the nkey seed kept in a file, and stay joined: reconnects
    without end. With a ``tls://`` URL the certificates lie beside the seed. Raises `BusError` if
    the first connection fails within the time."""
    bells: set[asyncio.Event] = set()

    async def reconnected() -> None:
        log.info("the bus is back")
        for bell in bells:
            bell.set()

    async def disconnected() -> None:
        log.warning("lost the bus; reconnecting")

    async def failed(error: Exception) -> None:
        log.warning("bus: %s", error or type(error).__name__)

    try:
        client = await asyncio.wait_for(
            nats.connect(
                url,
                name=name,
                **_credentials(url, seed),
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                connect_timeout=2,
                ping_interval=3,
                max_outstanding_pings=2,
                pending_size=0,
                reconnected_cb=reconnected,
                disconnected_cb=disconnected,
                error_cb=failed,
            ),
            timeout_seconds,
        )
    except (*_FAILURES, ValueError) as error:
        raise BusError(f"cannot join the bus at {url}: {error or 'timed out'}") from error
    return NatsBus(client, bells)
