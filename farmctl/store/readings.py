"""Readings of devices: raw for hours, means over a minute for days, over an hour for years."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, func, select

from farmctl.store.engine import Transaction
from farmctl.store.schema import ReadingRow

RAW, MINUTE, HOUR = 1, 60, 3600
#: A series is read at the finest step that gives no more points than this.
SERIES_POINTS = 2000


@dataclass(frozen=True)
class Sample:
    device: str
    time: float
    fields: dict[str, float]


@dataclass(frozen=True)
class Series:
    step_seconds: int
    points: list[tuple[float, float | None]]
    """Time and value; None where the field was missing."""


def add(tx: Transaction, samples: Iterable[Sample], step_seconds: int = RAW) -> None:
    """Store samples; one of the same device and time replaces the earlier."""
    for sample in samples:
        tx.merge(
            ReadingRow(
                device=sample.device,
                step_seconds=step_seconds,
                time=sample.time,
                fields=sample.fields,
            )
        )


def series(tx: Transaction, device: str, field: str, since: float, now: float) -> Series:
    step = next((s for s in (RAW, MINUTE) if (now - since) / s <= SERIES_POINTS), HOUR)
    query = (
        select(ReadingRow.time, ReadingRow.fields)
        .where(
            ReadingRow.device == device, ReadingRow.step_seconds == step, ReadingRow.time >= since
        )
        .order_by(ReadingRow.time)
    )
    return Series(step, [(time, fields.get(field)) for time, fields in tx.execute(query)])


def roll_up(tx: Transaction, step_seconds: int, now: float) -> None:
    """Write the means of every whole period that has none yet. Repeating changes nothing."""
    finer = RAW if step_seconds == MINUTE else MINUTE
    end = now // step_seconds * step_seconds
    for device in tx.scalars(select(ReadingRow.device).distinct()).all():
        done = tx.scalar(
            select(func.max(ReadingRow.time)).where(
                ReadingRow.device == device, ReadingRow.step_seconds == step_seconds
            )
        )
        start = 0.0 if done is None else done + step_seconds
        rows = _between(tx, device, finer, start, end)
        add(tx, _means(device, rows, step_seconds), step_seconds)


def _between(
    tx: Transaction, device: str, step_seconds: int, start: float, end: float
) -> list[tuple[float, dict[str, float]]]:
    query = select(ReadingRow.time, ReadingRow.fields).where(
        ReadingRow.device == device,
        ReadingRow.step_seconds == step_seconds,
        ReadingRow.time >= start,
        ReadingRow.time < end,
    )
    return [(time, fields) for time, fields in tx.execute(query)]


def _means(
    device: str, rows: list[tuple[float, dict[str, float]]], step_seconds: int
) -> list[Sample]:
    periods: dict[float, dict[str, list[float]]] = {}
    for time, fields in rows:
        period = periods.setdefault(time // step_seconds * step_seconds, {})
        for name, value in fields.items():
            period.setdefault(name, []).append(value)
    return [
        Sample(device, start, {name: sum(v) / len(v) for name, v in fields.items()})
        for start, fields in periods.items()
    ]


def prune(tx: Transaction, step_seconds: int, before: float) -> None:
    tx.execute(
        delete(ReadingRow).where(ReadingRow.step_seconds == step_seconds, ReadingRow.time < before)
    )
