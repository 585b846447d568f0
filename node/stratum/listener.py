"""What every kind of pool has: ports, connections within bounds, news to all miners, and order."""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from node.errors import NodeError
from node.stratum.collection import Collection
from node.stratum.connection import Connection, tls_context
from node.stratum.discipline import Discipline
from node.stratum.metrics import Status
from node.stratum.session import Miner
from node.stratum.settings import StratumSettings

SWEEP_SECONDS = 5.0
#: A better job at the same height takes so long to reach everyone; one at a new height is sent as
#: fast as it can be.
SPREAD_SECONDS = 5.0
#: Jobs sent before other work has its turn.
JOBS_AT_ONCE = 50
BACKLOG = 4096
#: Open files that the process needs beside its connections.
OTHER_FILES = 256

log = logging.getLogger(__name__)

Round = tuple[Callable[[], Awaitable[None]], float]
"""Something to do again and again, and the seconds between."""


class House(Protocol):
    """What a listener asks of its pool."""

    @property
    def discipline(self) -> Discipline: ...

    def open_session(self, address: str, is_solo: bool) -> Miner: ...


class Listener:
    def __init__(self, settings: StratumSettings, house: House, clock: Callable[[], float]) -> None:
        self.settings, self.clock, self._house = settings, clock, house
        self._discipline = house.discipline
        self._discipline.on_ban = self._shut_out
        self._connections: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._is_urgent = True
        self._collection = Collection(clock())

    @property
    def ports(self) -> list[int]:
        """In the order of the doors that were opened."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def open(self, doors: Sequence[tuple[bool, int]], rounds: Sequence[Round] = ()) -> None:
        """Listen at doors (whether for solo mining, and the port; 0: none) and begin the rounds.
        Raises `NodeError` where it cannot listen."""
        _allow_files(self.settings.max_connections + OTHER_FILES)
        context = self._tls()
        for is_solo, port in doors:
            if port:
                self._servers.append(await self._listen(is_solo, port, context))
        every = ((self._send_news, 0.0), (self._sweep, SWEEP_SECONDS), *rounds)
        self._tasks = [asyncio.create_task(_repeat(work, pause)) for work, pause in every]

    async def close(self) -> None:
        """Close every connection, and end the rounds."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def tell(self, is_urgent: bool) -> None:
        """Send the newest job to every miner."""
        self._is_urgent = is_urgent
        self._news.set()

    def status(self) -> Status:
        sessions = (c.session for c in self._connections)
        accounts = {s.account for s in sessions if s is not None and s.account}
        banned = self._discipline.bans.count()
        return Status(len(self._connections), len(accounts), banned, self._discipline.counts)

    def admit(self, connection: Connection, address: str) -> Miner | None:
        limits = self.settings
        if (
            len(self._connections) >= limits.max_connections
            or self._by_address[address] >= limits.max_connections_per_address
            or self._discipline.bans.is_banned(address)
        ):
            self._discipline.counts.refused_connections += 1
            return None
        self._connections.add(connection)
        self._collection.note()
        self._by_address[address] += 1
        return self._house.open_session(address, connection.is_solo)

    def release(self, connection: Connection) -> None:
        if connection in self._connections and connection.session is not None:
            self._connections.remove(connection)
            address = connection.session.address
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def note_flood(self, connection: Connection) -> None:
        self._discipline.counts.dropped_connections += 1
        if connection.session is not None:
            self._discipline.note_bad_line(connection.session.address)

    def _shut_out(self, address: str) -> None:
        for connection in list(self._connections):
            if connection.session is not None and connection.session.address == address:
                connection.drop()

    async def _send_news(self) -> None:
        """The newest job to every miner; miners' lines are answered in between."""
        await self._news.wait()
        self._news.clear()
        miners = list(self._connections)
        pause = 0.0 if self._is_urgent else SPREAD_SECONDS * JOBS_AT_ONCE / max(1, len(miners))
        for count, connection in enumerate(miners):
            if self._news.is_set():
                return
            if connection.session is not None and connection.session.account:
                connection.send(connection.session.news())
            if count % JOBS_AT_ONCE == JOBS_AT_ONCE - 1:
                await asyncio.sleep(pause)

    async def _sweep(self) -> None:
        now = self.clock()
        self._collection.collect(now)
        for connection in [c for c in self._connections if c.is_silent(now)]:
            self._discipline.counts.dropped_connections += 1
            connection.drop()

    def _tls(self) -> ssl.SSLContext | None:
        try:
            return tls_context(self.settings.tls_certificate, self.settings.tls_key)
        except OSError as error:
            raise NodeError(
                f"[stratum] tls_certificate, tls_key: {error}; name PEM files"
            ) from error

    async def _listen(
        self, is_solo: bool, port: int, context: ssl.SSLContext | None
    ) -> asyncio.Server:
        loop, host = asyncio.get_running_loop(), self.settings.host
        try:
            return await loop.create_server(
                lambda: Connection(self, is_solo), host, port, ssl=context, backlog=BACKLOG
            )
        except OSError as error:
            raise NodeError(
                f"miners cannot be served on {host}:{port} ({error.strerror}); "
                "choose another [stratum] port"
            ) from error


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files. Raises `NodeError` where the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise NodeError(
            f"[stratum] max_connections needs {wanted} open files and the system allows {hard}; "
            "lower it, or raise the limit (ulimit -Hn)"
        )
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _repeat(work: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
    while True:
        try:
            await work()
        except Exception:  # the top of a loop: the next round may do
            log.exception("a round of the pool failed", extra={"action": "stratum_failed"})
            await asyncio.sleep(1.0)
        await asyncio.sleep(pause_seconds)
