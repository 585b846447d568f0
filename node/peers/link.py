"""A connection that carries frames, bounded in size and time both ways."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from node.peers.errors import FeedMisbehaves, FeedUnavailable, PeerError
from node.peers.limits import PeerLimits
from node.peers.wire import LIMITS, PREFIX, Kind, encode_text, read_kind

CLOSE_SECONDS = 1.0


@dataclass(frozen=True)
class Prefix:
    """What comes before a payload."""

    length: int
    kind: Kind
    request: int


class Link:
    """Frames over a stream. One task reads; `send` may be called from anywhere in the loop."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: PeerLimits
    ) -> None:
        self._reader, self._writer, self._limits = reader, writer, limits
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(limits.queued_frames)
        self._queued_bytes = 0
        self._sender = asyncio.create_task(self._send_queued())
        self._failure: PeerError | None = None

    async def read_prefix(self) -> Prefix:
        """The next frame's prefix. Raises `PeerError`."""
        raw = await self._read(PREFIX.size, self._limits.idle_seconds)
        length, number, request = PREFIX.unpack(raw)
        kind = read_kind(number)
        if length > LIMITS[kind]:
            raise FeedMisbehaves(f"its {kind.name} has {length} bytes, {LIMITS[kind]} are the most")
        return Prefix(length, kind, request)

    async def read_payload(self, prefix: Prefix) -> bytes:
        return await self._read(prefix.length, self._limits.frame_seconds)

    def send(self, kind: Kind, payload: bytes, request: int = 0) -> None:
        """Queue a frame. Raises `FeedUnavailable` where the peer takes them too slowly."""
        self.send_raw(PREFIX.pack(len(payload), kind, request) + payload)

    def send_raw(self, frame: bytes) -> None:
        """Queue bytes as they are."""
        if self._failure is not None:
            raise self._failure
        if self._queued_bytes + len(frame) > self._limits.queued_bytes or self._queue.full():
            self._fail(FeedUnavailable("it takes what is sent too slowly"))
        if self._failure is not None:
            raise self._failure
        self._queued_bytes += len(frame)
        self._queue.put_nowait(frame)

    async def flush(self) -> None:
        """Wait until all that was queued is sent; at most for the time of one write."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.write_seconds):
                await self._queue.join()

    async def leave(self, reason: str) -> None:
        """Say why, then close."""
        with suppress(PeerError):
            self.send(Kind.GOODBYE, encode_text(reason))
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._queue.join()
        await self.close()

    async def close(self) -> None:
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.wait_closed()
        transport = self._writer.transport
        transport.abort()  # where the other side does not close either

    async def _read(self, size: int, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.readexactly(size)
        except TimeoutError as error:
            raise FeedUnavailable(f"it says nothing for {seconds:g} s") from error
        except (asyncio.IncompleteReadError, OSError) as error:
            raise self._failure or FeedUnavailable("the connection is lost") from error

    async def _send_queued(self) -> None:
        while True:
            frame = await self._queue.get()
            try:
                if self._writer.is_closing():
                    return self._fail(FeedUnavailable("the connection is lost"))
                async with asyncio.timeout(self._limits.write_seconds):
                    self._writer.write(frame)
                    await self._writer.drain()
            except TimeoutError:
                return self._fail(FeedUnavailable("it takes what is sent too slowly"))
            except OSError:
                return self._fail(FeedUnavailable("the connection is lost"))
            finally:
                self._queued_bytes -= len(frame)
                self._queue.task_done()

    def _fail(self, failure: PeerError) -> None:
        """No more of it: whoever reads is woken."""
        self._failure = failure
        self._writer.transport.abort()
