"""Events that have not reached the controller's stream yet, kept on the rig's disk.

Each keeps the id it was first given, however often it is sent, so that the stream and the
controller can tell a repeat.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
import uuid
from pathlib import Path

from farmctl.agent.link import BusLink
from farmctl.errors import BusError, StoreError
from farmctl.messages import DeviceAck, FaultEvent, JobProgress, RigEvent, ShareEvent

log = logging.getLogger(__name__)
#: Most events kept; beyond it the oldest are given up, and that is logged.
LIMIT = 50_000
RETRY_SECONDS = 1.0
BATCH = 100


class Outbox:
    """A bounded queue in SQLite: what was put in is sent at least once, in order."""

    def __init__(self, path: Path, rig: str, limit: int = LIMIT) -> None:
        self._rig = rig
        self._limit = limit
        self._news = asyncio.Event()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS outbox (place INTEGER PRIMARY KEY, event TEXT)"
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"Cannot keep events in {path}: {error}") from error

    def put(self, body: DeviceAck | ShareEvent | JobProgress | FaultEvent) -> RigEvent:
        """Raises `StoreError` when the disk does not take it."""
        event = RigEvent(id=uuid.uuid4().hex, rig=self._rig, at=time.time(), body=body)
        try:
            self._database.execute(
                "INSERT INTO outbox (event) VALUES (?)", (event.model_dump_json(),)
            )
            self._shorten()
        except sqlite3.Error as error:
            raise StoreError(f"Cannot keep an event: {error}") from error
        self._news.set()
        return event

    def __len__(self) -> int:
        count: int = self._database.execute("SELECT count(*) FROM outbox").fetchone()[0]
        return count

    async def send(self, link: BusLink) -> None:
        """Deliver what is there and what comes, until cancelled."""
        while True:
            self._news.clear()
            try:
                while await self._send_batch(link):
                    pass
            except BusError as error:
                log.info("events wait for the bus: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await self._news.wait()

    async def _send_batch(self, link: BusLink) -> bool:
        rows = self._database.execute(
            "SELECT place, event FROM outbox ORDER BY place LIMIT ?", (BATCH,)
        ).fetchall()
        bus = await link.wait()
        for place, text in rows:
            event = RigEvent.model_validate_json(text)
            await bus.append(f"event.{self._rig}", event, event.id)
            self._database.execute("DELETE FROM outbox WHERE place = ?", (place,))
        return bool(rows)

    def _shorten(self) -> None:
        gone = self._database.execute(
            "DELETE FROM outbox WHERE place <= (SELECT max(place) FROM outbox) - ?",
            (self._limit,),
        )
        if gone.rowcount > 0:
            log.error("the outbox is full: the oldest %d events are given up", gone.rowcount)

    def close(self) -> None:
        self._database.close()
