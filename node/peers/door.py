"""Where connections begin: those that come in are counted before TLS costs anything."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from node.errors import NodeError
from node.peers.errors import FeedUnavailable, PeerRefused
from node.peers.identity import Identity, peer_fingerprint
from node.peers.limits import PeerLimits
from node.peers.link import Link

BACKLOG = 64

#: (link, address of the other side) until the connection ends.
Receive = Callable[[Link, str], Awaitable[None]]


class Listener:
    """Takes connections until it is closed; more than the limits allow are cut at once."""

    def __init__(
        self,
        address: tuple[str, int],
        identity: Identity,
        limits: PeerLimits,
        receive: Receive,
        is_welcome: Callable[[str], bool],
    ) -> None:
        """Raises `NodeError` where the port is taken."""
        try:
            self._socket = socket.create_server(address, backlog=BACKLOG)
        except OSError as error:
            raise NodeError(
                f"cannot listen for peers on {address[0]}:{address[1]} ({error.strerror}); "
                "choose another port"
            ) from error
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._identity, self._limits = identity, limits
        self._receive, self._is_welcome = receive, is_welcome
        self._from: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    connection, address = await loop.sock_accept(self._socket)
                except OSError:  # it was gone before it was taken, or too many files are open
                    await asyncio.sleep(0.1)
                    continue
                self._admit(connection, address[0])
        finally:
            await self._close()

    def _admit(self, connection: socket.socket, host: str) -> None:
        has_room = (
            self._from.total() < self._limits.peers
            and self._from[host] < self._limits.from_one_address
        )
        if not has_room or not self._is_welcome(host):
            connection.close()
            return
        self._from[host] += 1
        task = asyncio.create_task(self._serve(connection, host))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket, host: str) -> None:
        try:
            reader, writer = await _wrap(connection, self._identity, self._limits)
        except (OSError, TimeoutError):
            connection.close()
        else:
            await self._receive(Link(reader, writer, self._limits), host)
        finally:
            self._from[host] -= 1
            if not self._from[host]:
                del self._from[host]

    async def _close(self) -> None:
        self._socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def dial(
    address: tuple[str, int], expected: str, identity: Identity, limits: PeerLimits
) -> tuple[Link, str]:
    """Connect; return the link and the fingerprint that TLS proved. Raises `PeerError`, also
    where it is not the ``expected`` one (empty: any)."""
    try:
        async with asyncio.timeout(limits.handshake_seconds):
            reader, writer = await asyncio.open_connection(
                *address, ssl=identity.client_context, server_hostname=""
            )
    except (OSError, TimeoutError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no answer"
        raise FeedUnavailable(f"cannot connect: {why}") from error
    link = Link(reader, writer, limits)
    try:
        found = _fingerprint(writer)
        if expected and found != expected:
            raise PeerRefused(f"its fingerprint is {found}, not the configured one")
    except PeerRefused:
        await link.close()
        raise
    return link, found


async def _wrap(
    connection: socket.socket, identity: Identity, limits: PeerLimits
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol,
        connection,
        ssl=identity.server_context,
        ssl_handshake_timeout=limits.handshake_seconds,
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _fingerprint(writer: asyncio.StreamWriter) -> str:
    connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
    try:
        return peer_fingerprint(connection.getpeercert(binary_form=True) or b"")
    except ValueError as error:
        raise PeerRefused(f"no farm node answers there: {error}") from error
