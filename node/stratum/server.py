"""The stratum server: listens, sends new jobs out, and keeps time."""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from node.core import Node
from node.errors import NodeError
from node.spec.seal import CycleVerifier
from node.spec.types import Block
from node.stratum.accounts import FLUSH_SECONDS, SETTLE_SECONDS, Accounts, Import
from node.stratum.collection import Collection
from node.stratum.connection import Connection, tls_context
from node.stratum.finds import Finds
from node.stratum.found import FoundBlocks
from node.stratum.jobs import JobBook
from node.stratum.metrics import Status
from node.stratum.payments import Payments
from node.stratum.pool import Pool
from node.stratum.session import Session
from node.stratum.settings import StratumSettings
from node.stratum.shares import ShareLedger

#: A better block on the same head is sent out at most this often.
REFRESH_SECONDS = 10.0
SWEEP_SECONDS = 5.0
#: and takes so long to reach everyone; a new head is sent as fast as it can be.
SPREAD_SECONDS = 5.0
#: Jobs sent before other work has its turn.
JOBS_AT_ONCE = 50
BACKLOG = 4096
#: Open files that the process needs beside its connections.
OTHER_FILES = 256

log = logging.getLogger(__name__)


class StratumServer:
    """``import_block`` imports what a miner sealed, and may raise `SubmissionRefused` or
    `StoreError`; ``secret`` is the key of the node's coinbase, for payments."""

    def __init__(
        self,
        settings: StratumSettings,
        node: Node,
        import_block: Import,
        verify_cycle: CycleVerifier,
        secret: bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.clock = settings, clock
        finds = Finds(node.store, node.chain, settings.fee_basis_points, settings.confirmations)
        payments = Payments(node, secret, settings.payout_wei, settings.confirmations)
        folder = node.home / "stratum"
        ledger, found = ShareLedger(node.store, folder), FoundBlocks(folder)
        self._accounts = Accounts(ledger, found, finds, payments, import_block)
        self.pool = Pool(
            settings,
            JobBook(node.chain, verify_cycle, clock),
            self._accounts.ledger.add,
            self._accounts.take_block,
            clock,
            on_ban=self._shut_out,
        )
        self._connections: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._offered = -REFRESH_SECONDS
        self._is_head = True
        self._collection = Collection(clock())

    @property
    def ports(self) -> list[int]:
        """Of the shared pool and of solo mining, in this order, where each is on."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def start(self) -> None:
        """Listen. Raises `NodeError` where it cannot."""
        _allow_files(self.settings.max_connections + OTHER_FILES)
        context = self._tls()
        for is_solo, port in ((False, self.settings.port), (True, self.settings.solo_port)):
            if port:
                self._servers.append(await self._listen(is_solo, port, context))
        self._accounts.recover()
        rounds = (
            (self._send_news, 0.0),
            (self._sweep, SWEEP_SECONDS),
            (lambda: self._accounts.flush(self._window()), FLUSH_SECONDS),
            (self._accounts.settle, SETTLE_SECONDS),
        )
        self._tasks = [asyncio.create_task(_repeat(work, pause)) for work, pause in rounds]

    async def stop(self) -> None:
        """Close every connection and keep the shares."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._accounts.close(self._window())

    def offer(self, block: Block) -> None:
        """Let miners work on a block: at once on a new head, else with the next refresh."""
        current = self.pool.book.current
        is_new = current is None or current.height != block.header.number
        if is_new or self.clock() - self._offered >= REFRESH_SECONDS:
            self._offered, self._is_head = self.clock(), is_new
            self.pool.book.add(block)
            self._news.set()

    def status(self) -> Status:
        sessions = (c.session for c in self._connections)
        accounts = {s.account for s in sessions if s is not None and s.account}
        banned = self.pool.bans.count()
        return Status(len(self._connections), len(accounts), banned, self.pool.counts)

    def admit(self, connection: Connection, address: str) -> Session | None:
        limits = self.settings
        if (
            len(self._connections) >= limits.max_connections
            or self._by_address[address] >= limits.max_connections_per_address
            or self.pool.bans.is_banned(address)
        ):
            self.pool.counts.refused_connections += 1
            return None
        self._connections.add(connection)
        self._collection.note()
        self._by_address[address] += 1
        return self.pool.open_session(address, connection.is_solo)

    def release(self, connection: Connection) -> None:
        if connection in self._connections and connection.session is not None:
            self._connections.remove(connection)
            address = connection.session.address
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def note_flood(self, connection: Connection) -> None:
        self.pool.counts.dropped_connections += 1
        if connection.session is not None:
            self.pool.note_bad_line(connection.session.address)

    def _shut_out(self, address: str) -> None:
        for connection in list(self._connections):
            if connection.session is not None and connection.session.address == address:
                connection.drop()

    async def _send_news(self) -> None:
        """The newest template to every miner; miners' lines are answered in between."""
        await self._news.wait()
        self._news.clear()
        template = self.pool.book.current
        miners = list(self._connections)
        pause = 0.0 if self._is_head else SPREAD_SECONDS * JOBS_AT_ONCE / max(1, len(miners))
        for count, connection in enumerate(miners):
            if template is None or self._news.is_set():
                return
            if connection.session is not None and connection.session.account:
                connection.send(connection.session.job(template))
            if count % JOBS_AT_ONCE == JOBS_AT_ONCE - 1:
                await asyncio.sleep(pause)

    async def _sweep(self) -> None:
        now = self.clock()
        self._collection.collect(now)
        for connection in [c for c in self._connections if c.is_silent(now)]:
            self.pool.counts.dropped_connections += 1
            connection.drop()

    def _window(self) -> int:
        template = self.pool.book.current
        return self.settings.window_blocks * (template.difficulty if template else 1)

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
