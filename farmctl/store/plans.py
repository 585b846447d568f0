"""The numbered plans, each with what the planner saw."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, func, select

from farmctl.domain import Assignment, Plan, Priority, Workload
from farmctl.store.engine import Transaction
from farmctl.store.schema import PlanRow


def add(tx: Transaction, plan: Plan, inputs: dict[str, Any]) -> None:
    lines = [asdict(a) | {"parameters": dict(a.parameters)} for a in plan.assignments]
    tx.add(PlanRow(number=plan.number, created=plan.created, assignments=lines, inputs=inputs))


def latest(tx: Transaction) -> Plan | None:
    row = tx.scalar(select(PlanRow).order_by(PlanRow.number.desc()).limit(1))
    return None if row is None else _plan(row)


def find(tx: Transaction, number: int) -> Plan | None:
    row = tx.get(PlanRow, number)
    return None if row is None else _plan(row)


def inputs(tx: Transaction, number: int) -> dict[str, Any] | None:
    row = tx.get(PlanRow, number)
    return None if row is None else row.inputs


def recent(tx: Transaction, limit: int, before: int | None = None) -> list[Plan]:
    """Newest first."""
    query = select(PlanRow).order_by(PlanRow.number.desc()).limit(limit)
    if before is not None:
        query = query.where(PlanRow.number < before)
    return [_plan(row) for row in tx.scalars(query)]


def prune(tx: Transaction, before: float) -> None:
    """Forget plans made before a time, except the newest."""
    newest = select(func.max(PlanRow.number)).scalar_subquery()
    tx.execute(delete(PlanRow).where(PlanRow.created < before, PlanRow.number != newest))


def _plan(row: PlanRow) -> Plan:
    return Plan(row.number, row.created, tuple(_assignment(line) for line in row.assignments))


def _assignment(line: dict[str, Any]) -> Assignment:
    known = line | {
        "workload": Workload(line["workload"]),
        "priority": Priority(line["priority"]),
    }
    return Assignment(**known)
