"""Events for people, and which events of the bus have taken effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, select

from farmctl.domain import Event
from farmctl.store.engine import Transaction
from farmctl.store.schema import EventRow, SeenRow

Level = Literal["info", "warning", "error"]
#: From the least to the gravest.
LEVELS: tuple[Level, ...] = ("info", "warning", "error")


@dataclass(frozen=True)
class EventRecord:
    id: int
    event: Event


def add(tx: Transaction, event: Event) -> EventRecord:
    row = EventRow(
        time=event.time,
        kind=event.kind,
        subject=event.subject,
        text=event.text,
        level=event.level,
    )
    tx.add(row)
    tx.flush()
    return EventRecord(row.id, event)


def recent(
    tx: Transaction,
    limit: int,
    before: int | None = None,
    subject: str | None = None,
    least: Level = "info",
) -> list[EventRecord]:
    """Newest first, those of the level ``least`` or above."""
    query = select(EventRow).order_by(EventRow.id.desc()).limit(limit)
    if least != LEVELS[0]:
        query = query.where(EventRow.level.in_(LEVELS[LEVELS.index(least) :]))
    if before is not None:
        query = query.where(EventRow.id < before)
    if subject is not None:
        query = query.where(EventRow.subject == subject)
    return [
        EventRecord(row.id, Event(row.time, row.kind, row.subject, row.text, row.level))
        for row in tx.scalars(query)
    ]


def see(tx: Transaction, identity: str, now: float) -> bool:
    """Note that an event of the bus takes effect. False if it did before."""
    if tx.get(SeenRow, identity) is not None:
        return False
    tx.add(SeenRow(id=identity, time=now))
    return True


def prune(tx: Transaction, before: float, seen_before: float) -> None:
    """Forget old events, and ids that no rig can send again."""
    tx.execute(delete(EventRow).where(EventRow.time < before))
    tx.execute(delete(SeenRow).where(SeenRow.time < seen_before))
