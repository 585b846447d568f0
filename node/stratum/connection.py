"""A miner's connection: bytes to lines, within bounds."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from node.stratum.wire import MAX_LINE_BYTES

if TYPE_CHECKING:
    from node.stratum.session import Miner

#: A miner may send so many lines each second, and so many more in a burst.
LINES_PER_SECOND = 20.0
BURST_LINES = 200.0
#: Lines answered before other miners have their turn.
LINES_AT_ONCE = 16
#: A miner that leaves so much unread is dropped.
MAX_UNREAD_BYTES = 64 * 1024
LOGIN_SECONDS = 30.0
SILENCE_SECONDS = 900.0


class Keeper(Protocol):
    """What a connection needs of the server."""

    clock: Callable[[], float]

    def admit(self, connection: Connection, address: str) -> Miner | None:
        """None where the address may not connect."""

    def release(self, connection: Connection) -> None: ...

    def note_flood(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    __slots__ = ("_allowance", "_buffer", "_heard", "_keeper", "_resumed", "_transport", "is_solo",
                 "session")  # fmt: skip

    def __init__(self, keeper: Keeper, is_solo: bool) -> None:
        self._keeper = keeper
        self.is_solo = is_solo
        self.session: Miner | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._heard = keeper.clock()
        self._allowance = BURST_LINES
        self._resumed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.session = self._keeper.admit(self, peer[0] if peer else "")
        if self.session is None:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport, self._buffer = None, b""
        self._keeper.release(self)

    def data_received(self, received: bytes) -> None:
        self._buffer = self._buffer + received if self._buffer else received
        if not self._resumed:
            self._answer_lines()

    def _answer_lines(self) -> None:
        """Some of the lines; the rest when other miners had their turn."""
        self._resumed = False
        for _ in range(LINES_AT_ONCE):
            line, feed, rest = self._buffer.partition(b"\n")
            if not feed or len(line) > MAX_LINE_BYTES:
                break
            self._buffer = rest
            if line.strip():
                self._answer(line)
        if self._transport is None or self._transport.is_closing():
            self._buffer = b""
        elif b"\n" not in self._buffer[: MAX_LINE_BYTES + 1]:
            self._transport.resume_reading()
            if len(self._buffer) > MAX_LINE_BYTES:
                self._flood()
        else:
            self._transport.pause_reading()
            self._resumed = True
            asyncio.get_running_loop().call_soon(self._answer_lines)

    def _answer(self, line: bytes) -> None:
        if self.session is None:
            return
        if self._is_flooding():
            self._flood()
        else:
            self.send(self.session.answer(line))

    def _is_flooding(self) -> bool:
        now = self._keeper.clock()
        earned = (now - self._heard) * LINES_PER_SECOND
        self._heard, self._allowance = now, min(BURST_LINES, self._allowance + earned) - 1
        return self._allowance < 0

    def _flood(self) -> None:
        self._keeper.note_flood(self)
        self.drop()

    def send(self, line: bytes) -> None:
        """Write, unless the miner does not read."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(line)
        if self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._keeper.note_flood(self)
            self.drop()

    def is_silent(self, now: float) -> bool:
        """Whether it has said nothing for too long."""
        has_login = self.session is not None and self.session.account
        return now - self._heard > (SILENCE_SECONDS if has_login else LOGIN_SECONDS)

    def drop(self) -> None:
        self._buffer = b""
        if self._transport is not None:
            self._transport.abort()


def tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """Of the server; None without a certificate. Raises `OSError` where a file cannot be read
    and `ssl.SSLError` where it holds no such thing."""
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key or None)
    return context
