"""The audit log: each entry's hash covers the one before, so that a gap or a change shows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from sqlalchemy import select

from farmctl.store.engine import Transaction
from farmctl.store.schema import AuditRow

FIRST_HASH = "0" * 64
BATCH = 1000


@dataclass(frozen=True)
class Entry:
    id: int
    time: float
    actor: str
    action: str
    subject: str
    detail: str
    chain_hash: str


def append(
    tx: Transaction, time: float, actor: str, action: str, subject: str, detail: str = ""
) -> Entry:
    last = tx.scalar(select(AuditRow).order_by(AuditRow.id.desc()).limit(1))
    row = AuditRow(time=time, actor=actor, action=action, subject=subject, detail=detail)
    row.chain_hash = _chain(FIRST_HASH if last is None else last.chain_hash, row)
    tx.add(row)
    tx.flush()
    return _entry(row)


def recent(tx: Transaction, limit: int, before: int | None = None) -> list[Entry]:
    """Newest first."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRow.id < before)
    return [_entry(row) for row in tx.scalars(query)]


def first_broken(tx: Transaction) -> int | None:
    """Id of the first entry whose hash does not follow from the one before; None if all do."""
    previous, last_id = FIRST_HASH, 0
    while True:
        query = select(AuditRow).where(AuditRow.id > last_id).order_by(AuditRow.id).limit(BATCH)
        rows = tx.scalars(query).all()
        for row in rows:
            if row.id != last_id + 1 or row.chain_hash != _chain(previous, row):
                return row.id
            previous, last_id = row.chain_hash, row.id
        if len(rows) < BATCH:
            return None


def _chain(previous: str, row: AuditRow) -> str:
    entry = [previous, row.time, row.actor, row.action, row.subject, row.detail]
    return hashlib.sha256(json.dumps(entry, separators=(",", ":")).encode()).hexdigest()


def _entry(row: AuditRow) -> Entry:
    return Entry(row.id, row.time, row.actor, row.action, row.subject, row.detail, row.chain_hash)
