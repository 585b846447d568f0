"""Rigs and devices as last reported."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, select

from farmctl.domain import Device, Rig, Workload, device_key
from farmctl.messages import (
    DeviceReport,
    FamilyReport,
    InventoryReport,
    SelfTestReport,
    ShareOutcome,
)
from farmctl.smoothing import smooth
from farmctl.store.engine import Transaction
from farmctl.store.schema import DeviceRow, RigRow

#: Weight of the newest measurement in a smoothed rate or switch time.
SMOOTHING = 0.2


@dataclass(frozen=True)
class Counts:
    """Shares of a device or of the farm since the beginning."""

    accepted: int
    stale: int
    rejected: int
    invalid: int
    """Found wrong by the rig itself, and never sent."""


@dataclass(frozen=True)
class DeviceRecord:
    """A device with everything the store knows of it."""

    device: Device
    present: bool
    self_tests: tuple[SelfTestReport, ...]
    workload_since: float
    rates: dict[str, float]
    switch_seconds: float | None
    shares: Counts


@dataclass(frozen=True)
class RigRecord:
    rig: Rig
    families: tuple[FamilyReport, ...]


def record_report(tx: Transaction, report: InventoryReport, now: float) -> None:
    """Take over a rig's report; a device it no longer names is marked as not present."""
    rig = tx.get(RigRow, report.rig) or RigRow(name=report.rig)
    rig.site, rig.agent_version, rig.boot_id = report.site, report.agent_version, report.boot_id
    rig.last_seen, rig.plan_number = now, report.plan_number
    rig.families = [family.model_dump() for family in report.families]
    tx.add(rig)
    known = {row.key: row for row in _rows_of(tx, report.rig)}
    for device in report.devices:
        _record_device(tx, known.pop(device_key(report.rig, device.id), None), report, device, now)
    for row in known.values():
        row.present = False


def _rows_of(tx: Transaction, rig: str) -> list[DeviceRow]:
    return list(tx.scalars(select(DeviceRow).where(DeviceRow.rig == rig)))


def _record_device(
    tx: Transaction,
    row: DeviceRow | None,
    report: InventoryReport,
    device: DeviceReport,
    now: float,
) -> None:
    if row is None:
        key = device_key(report.rig, device.id)
        row = DeviceRow(key=key, rig=report.rig, device_id=device.id, rates={}, workload_since=now)
        tx.add(row)
    elif (row.workload, row.job_id) != (device.workload, device.job_id):
        row.workload_since = now
    row.hardware_id, row.family, row.model = device.hardware_id, device.family, device.model
    row.capabilities, row.driver_version = sorted(device.capabilities), device.driver_version
    row.memory_bytes, row.details = device.memory_bytes, device.details
    row.health, row.health_reason = device.health, device.health_reason
    row.self_tests = [test.model_dump() for test in device.self_tests]
    row.workload, row.job_id, row.present = device.workload, device.job_id, True


def rigs(tx: Transaction) -> list[RigRecord]:
    return [_rig(row) for row in tx.scalars(select(RigRow).order_by(RigRow.name))]


def _rig(row: RigRow) -> RigRecord:
    rig = Rig(row.name, row.site, row.agent_version, row.boot_id, row.last_seen, row.plan_number)
    return RigRecord(rig, tuple(FamilyReport.model_validate(one) for one in row.families))


def followed_plan(tx: Transaction, name: str) -> int:
    """Number of the plan that a rig says it follows; 0 before the first."""
    row = tx.get(RigRow, name)
    return 0 if row is None else row.plan_number


def forget_absent(tx: Transaction, rig: str) -> None:
    """Remove the devices that the rig's last report did not name; a rig without any goes too."""
    tx.execute(delete(DeviceRow).where(DeviceRow.rig == rig, DeviceRow.present.is_(False)))
    if not _rows_of(tx, rig):
        forget_rig(tx, rig)


def forget_rig(tx: Transaction, name: str) -> bool:
    """Remove a rig and its devices; whether it was there."""
    tx.execute(delete(DeviceRow).where(DeviceRow.rig == name))
    row = tx.get(RigRow, name)
    if row is not None:
        tx.delete(row)
    return row is not None


def devices(tx: Transaction) -> list[DeviceRecord]:
    return [_device(row) for row in tx.scalars(select(DeviceRow).order_by(DeviceRow.key))]


def find_device(tx: Transaction, key: str) -> DeviceRecord | None:
    row = tx.get(DeviceRow, key)
    return None if row is None else _device(row)


def _device(row: DeviceRow) -> DeviceRecord:
    tests = tuple(SelfTestReport.model_validate(one) for one in row.self_tests)
    device = Device(
        key=row.key,
        rig=row.rig,
        id=row.device_id,
        hardware_id=row.hardware_id,
        family=row.family,
        model=row.model,
        capabilities=frozenset(row.capabilities),
        proved=frozenset(test.capability for test in tests if test.passed),
        health=row.health if row.present else "lost",
        health_reason=row.health_reason if row.present else "its rig no longer reports it",
        workload=Workload(row.workload),
        job_id=row.job_id,
        memory_bytes=row.memory_bytes,
    )
    shares = Counts(row.shares_accepted, row.shares_stale, row.shares_rejected, row.shares_invalid)
    return DeviceRecord(
        device, row.present, tests, row.workload_since, dict(row.rates), row.switch_seconds, shares
    )


def confirm_workload(
    tx: Transaction, key: str, workload: Workload, job_id: str | None, now: float
) -> None:
    """A rig says that a device now does this."""
    row = tx.get(DeviceRow, key)
    if row is not None and (row.workload, row.job_id) != (workload, job_id):
        row.workload, row.job_id, row.workload_since = workload, job_id, now


def record_switch_time(tx: Transaction, key: str, seconds: float) -> None:
    row = tx.get(DeviceRow, key)
    if row is not None:
        row.switch_seconds = smooth(row.switch_seconds, seconds, SMOOTHING)


def record_rates(tx: Transaction, key: str, rates: dict[str, float]) -> None:
    """Smooth measured rates into those of a device; others stay as they were."""
    row = tx.get(DeviceRow, key)
    if row is not None:
        known = dict(row.rates)
        row.rates = known | {
            name: smooth(known.get(name), rate, SMOOTHING) for name, rate in rates.items()
        }


def count_share(tx: Transaction, key: str, outcome: ShareOutcome) -> None:
    row = tx.get(DeviceRow, key)
    if row is None:
        return
    match outcome:
        case "accepted":
            row.shares_accepted += 1
        case "stale":
            row.shares_stale += 1
        case "rejected":
            row.shares_rejected += 1
        case "invalid":
            row.shares_invalid += 1


def total_shares(tx: Transaction) -> Counts:
    columns = (
        DeviceRow.shares_accepted,
        DeviceRow.shares_stale,
        DeviceRow.shares_rejected,
        DeviceRow.shares_invalid,
    )
    found = tx.execute(select(*(func.coalesce(func.sum(c), 0) for c in columns))).one()
    return Counts(*(int(value) for value in found))
