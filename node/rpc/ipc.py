"""The JSON-RPC on a Unix socket in the node's home, for programs of its owner alone.

Requests follow one another with or without line breaks, as clients send them; each answer and each
notification is a line. No rate bounds its owner.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from node.errors import NodeError
from node.rpc.dispatcher import Dispatcher
from node.rpc.session import Session, SlowReader
from node.rpc.settings import RpcSettings
from node.rpc.subscriptions import Feed

#: The longest path that a Unix socket may have.
MAX_PATH_BYTES = 107
READ_BYTES = 64 * 1024
STOP_SECONDS = 3.0
_TOKEN = re.compile(rb'[\[\]{}"]|\\.', re.DOTALL)

log = logging.getLogger(__name__)


class Splitter:
    """Cuts a stream at the ends of its outermost objects and lists."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[bytes]:
        """The requests that are whole now."""
        self._buffer += data
        whole, start = [], 0
        for token in _TOKEN.finditer(bytes(self._buffer), self._at):
            self._at = token.end()
            if self._ends_with(token[0]):
                whole.append(bytes(self._buffer[start : self._at]))
                start = self._at
        del self._buffer[:start]
        self._at -= start
        return whole

    @property
    def waiting_bytes(self) -> int:
        return len(self._buffer)

    def _ends_with(self, token: bytes) -> bool:
        """Whether a request ends here."""
        if token == b'"':
            self._in_string = not self._in_string
        elif not self._in_string and token in (b"[", b"{"):
            self._depth += 1
        elif not self._in_string and token in (b"]", b"}"):
            self._depth = max(0, self._depth - 1)
            return self._depth == 0
        return False


class IpcDoor:
    def __init__(
        self, path: Path, dispatcher: Dispatcher, feed: Feed, settings: RpcSettings
    ) -> None:
        self._path = path
        self._dispatcher = dispatcher
        self._feed = feed
        self._settings = settings
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises `NodeError`. Where the path is too long for a socket there is none."""
        if len(bytes(self._path)) > MAX_PATH_BYTES:
            log.warning("no socket: %s is too long", self._path, extra={"action": "ipc_absent"})
            return
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)
            listening.bind(str(self._path))
            self._path.chmod(0o600)  # before anybody can be let in
        except OSError as error:
            listening.close()
            raise NodeError(f"cannot make the socket {self._path}: {error.strerror}") from error
        self._server = await asyncio.start_unix_server(self._talk, sock=listening)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        if self._talks:
            await asyncio.wait(self._talks, timeout=STOP_SECONDS)
        self._path.unlink(missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(text: bytes) -> None:
            writer.write(text + b"\n")
            await writer.drain()

        talk = asyncio.current_task()
        if talk is None or len(self._talks) >= self._settings.max_websockets:
            writer.close()
            return
        self._talks.add(talk)
        session = Session(self._dispatcher, self._feed, self._settings, None, send)
        try:
            with suppress(SlowReader, OSError):
                await session.serve(self._read(reader))
        finally:
            self._talks.discard(talk)
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """Until the client leaves, or sends more than a request may hold."""
        splitter = Splitter()
        while splitter.waiting_bytes <= self._settings.max_body_bytes:
            data = await reader.read(READ_BYTES)
            if not data:
                return
            for request in splitter.feed(data):
                yield request
