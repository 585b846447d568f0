"""What the NATS server keeps by JetStream: the stream of events and the latest values."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import KeyNotFoundError, NoStreamResponseError, NotFoundError
from nats.js.kv import KeyValue

from farmctl.bus import M, Subscription
from farmctl.errors import BusError
from farmctl.messages import Message
from farmctl.nats_connection import FAILURES, Connection, Listening, bus_errors

log = logging.getLogger(__name__)
STREAM = "EVENT"
STREAM_SUBJECTS = ["event.>"]
STREAM_MAX_BYTES = 1024**3
STREAM_MAX_AGE_SECONDS = 7 * 24 * 3600.0
DUPLICATE_WINDOW_SECONDS = 600.0
TIMEOUT_SECONDS = 3.0
#: A watcher reads the value again this often even if no change was announced.
WATCH_POLL_SECONDS = 10.0
#: An announced value that is not stored yet is first read again after twice this time.
ANNOUNCED_SECONDS = 0.005
RETRY_SECONDS = 1.0
BATCH = 64
#: What a consumer took and died with is given to its successor after this.
ACK_SECONDS = 10.0


@dataclass(eq=False)
class _Consumer:
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task], timeout=TIMEOUT_SECONDS)


class JetStream(Connection):
    def __init__(self, client: Client, bells: set[asyncio.Event]) -> None:
        super().__init__(client, bells)
        self._stream_context: JetStreamContext = client.jetstream(timeout=TIMEOUT_SECONDS)
        self._buckets: dict[str, KeyValue] = {}
        self._stream_ready = False
        self._consumers: list[_Consumer] = []

    async def close(self) -> None:
        await asyncio.gather(*(consumer.stop() for consumer in self._consumers))
        await super().close()

    async def append(self, subject: str, message: Message, message_id: str) -> None:
        self._check_connected()
        payload = message.model_dump_json().encode()
        headers = {"Nats-Msg-Id": message_id}
        with bus_errors(subject):
            await self._ensure_stream()
            try:
                await self._stream_context.publish(
                    subject, payload, timeout=TIMEOUT_SECONDS, headers=headers
                )
            except NoStreamResponseError:
                self._stream_ready = False  # the server lost its store; make the stream again
                raise

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
                except (*FAILURES, BusError) as error:
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
        with bus_errors(subject):
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

    async def put(self, bucket: str, key: str, message: Message) -> None:
        self._check_connected()
        with bus_errors(f"{bucket}/{key}"):
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

        with bus_errors(f"{bucket}/{key}"):
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
            await Listening(listening).stop()

    async def _entry(self, bucket: str, key: str) -> tuple[int, bytes] | None:
        """Revision and value of a key."""
        self._check_connected()
        with bus_errors(f"{bucket}/{key}"):
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
