"""What people want: wishes, locks and pauses, and what became of each request; and which
devices wait in quarantine for a person."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select

from farmctl.domain import Wish, Workload
from farmctl.store.engine import Transaction
from farmctl.store.schema import PauseRow, QuarantineRow, SwitchRow, WishRow


@dataclass(frozen=True)
class Switch:
    """A change asked for by a person."""

    id: str
    device: str
    action: str
    """switch, unlock, pause, resume or clear."""
    workload: Workload | None
    asked: float
    by: str
    state: str = "pending"
    plan_number: int | None = None
    confirmed: float | None = None
    seconds: float | None = None
    detail: str = ""


def set_wish(tx: Transaction, wish: Wish) -> None:
    tx.merge(
        WishRow(
            device=wish.device,
            workload=wish.workload,
            locked=wish.locked,
            by=wish.by,
            created=wish.created,
            until=wish.until,
        )
    )


def clear_wish(tx: Transaction, device: str) -> None:
    tx.execute(delete(WishRow).where(WishRow.device == device))


def wishes(tx: Transaction, now: float) -> list[Wish]:
    """Those that have not run out."""
    rows = tx.scalars(select(WishRow).order_by(WishRow.device))
    return [
        Wish(r.device, Workload(r.workload), r.locked, r.by, r.created, r.until)
        for r in rows
        if r.until is None or r.until > now
    ]


def pause(tx: Transaction, device: str, by: str, now: float) -> None:
    tx.merge(PauseRow(device=device, by=by, created=now))


def resume(tx: Transaction, device: str) -> None:
    tx.execute(delete(PauseRow).where(PauseRow.device == device))


def paused(tx: Transaction) -> dict[str, str]:
    """Paused devices and who paused them."""
    return {row.device: row.by for row in tx.scalars(select(PauseRow))}


def quarantine(
    tx: Transaction, device: str, reason: str, now: float, until: float | None = None
) -> None:
    """Without ``until``, a person has to end it; such a one is not replaced by one that ends."""
    known = tx.get(QuarantineRow, device)
    if known is not None and known.until is None and until is not None:
        return
    tx.merge(QuarantineRow(device=device, reason=reason, created=now, until=until))


def clear_quarantine(tx: Transaction, device: str) -> bool:
    """Whether the device was in quarantine."""
    row = tx.get(QuarantineRow, device)
    if row is not None:
        tx.delete(row)
    return row is not None


def quarantined(tx: Transaction, now: float) -> dict[str, str]:
    """Devices in quarantine, and why."""
    rows = tx.scalars(select(QuarantineRow))
    return {row.device: row.reason for row in rows if row.until is None or row.until > now}


def add_switch(tx: Transaction, switch: Switch) -> None:
    """An earlier request for the device that still waits is superseded."""
    for row in _pending_rows(tx, switch.device):
        row.state, row.detail = "failed", "superseded by a later request"
    tx.add(SwitchRow(**{**vars(switch)}))


def _pending_rows(tx: Transaction, device: str | None = None) -> list[SwitchRow]:
    query = select(SwitchRow).where(SwitchRow.state == "pending").order_by(SwitchRow.asked)
    if device is not None:
        query = query.where(SwitchRow.device == device)
    return list(tx.scalars(query))


def pending_switches(tx: Transaction) -> list[Switch]:
    return [_switch(row) for row in _pending_rows(tx)]


def bind_switches(tx: Transaction, plan_number: int) -> None:
    """Requests that no plan has answered yet are answered by this one."""
    for row in _pending_rows(tx):
        row.plan_number = plan_number if row.plan_number is None else row.plan_number


def settle_switch(
    tx: Transaction, identity: str, state: str, now: float, detail: str = ""
) -> Switch | None:
    """End a pending request as confirmed or failed. None if it was ended before."""
    row = tx.get(SwitchRow, identity)
    if row is None or row.state != "pending":
        return None
    row.state, row.detail = state, detail
    if state == "confirmed":
        row.confirmed, row.seconds = now, max(0.0, now - row.asked)
    return _switch(row)


def judge(switch: Switch, does: Workload, why: str) -> tuple[str, str]:
    """State and detail of a request by what the plan has the device do: what is stronger than
    the wish is named, and the wish stays."""
    if switch.workload in (None, does):
        return "confirmed", ""
    return "failed", f"it does {does} for now: {why}. The wish is kept"


def find_switch(tx: Transaction, identity: str) -> Switch | None:
    row = tx.get(SwitchRow, identity)
    return None if row is None else _switch(row)


def recent_switches(tx: Transaction, limit: int, device: str | None = None) -> list[Switch]:
    query = select(SwitchRow).order_by(SwitchRow.asked.desc()).limit(limit)
    if device is not None:
        query = query.where(SwitchRow.device == device)
    return [_switch(row) for row in tx.scalars(query)]


def prune_switches(tx: Transaction, before: float) -> None:
    tx.execute(delete(SwitchRow).where(SwitchRow.asked < before, SwitchRow.state != "pending"))


def _switch(row: SwitchRow) -> Switch:
    return Switch(
        id=row.id,
        device=row.device,
        action=row.action,
        workload=Workload(row.workload) if row.workload else None,
        asked=row.asked,
        by=row.by,
        state=row.state,
        plan_number=row.plan_number,
        confirmed=row.confirmed,
        seconds=row.seconds,
        detail=row.detail,
    )
