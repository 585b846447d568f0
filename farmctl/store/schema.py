"""The tables. Times are seconds since the epoch, money micro-units, keys as in `farmctl.domain`.

A change here needs a migration in ``farmctl/store/migrations/versions``; a test compares both.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Float,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BigId = BigInteger().with_variant(Integer, "sqlite")


class Table(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        float: Float(53),
        int: BigInteger,
        str: Text,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


class RigRow(Table):
    __tablename__ = "rigs"
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    site: Mapped[str]
    agent_version: Mapped[str]
    boot_id: Mapped[str]
    last_seen: Mapped[float]
    plan_number: Mapped[int]
    families: Mapped[list[Any]]


class DeviceRow(Table):
    __tablename__ = "devices"
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    rig: Mapped[str] = mapped_column(String(63), index=True)
    device_id: Mapped[str]
    hardware_id: Mapped[str]
    family: Mapped[str]
    model: Mapped[str]
    capabilities: Mapped[list[Any]]
    driver_version: Mapped[str]
    memory_bytes: Mapped[int | None]
    details: Mapped[dict[str, Any]]
    health: Mapped[str]
    health_reason: Mapped[str]
    self_tests: Mapped[list[Any]]
    workload: Mapped[str]
    job_id: Mapped[str | None]
    present: Mapped[bool]
    """False once the rig no longer reports it."""
    workload_since: Mapped[float]
    rates: Mapped[dict[str, Any]]
    """Smoothed rates by field, as last measured at work."""
    switch_seconds: Mapped[float | None]
    """Smoothed time from a plan to its confirmation."""
    shares_accepted: Mapped[int] = mapped_column(default=0)
    shares_stale: Mapped[int] = mapped_column(default=0)
    shares_rejected: Mapped[int] = mapped_column(default=0)
    shares_invalid: Mapped[int] = mapped_column(default=0, server_default="0")


class ReadingRow(Table):
    """Readings of a device: as they came (``step_seconds`` 1) or means over a minute or hour."""

    __tablename__ = "readings"
    device: Mapped[str] = mapped_column(String(128), primary_key=True)
    step_seconds: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[float] = mapped_column(primary_key=True)
    fields: Mapped[dict[str, Any]]


class EventRow(Table):
    __tablename__ = "events"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    time: Mapped[float] = mapped_column(index=True)
    kind: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]
    level: Mapped[str]


class SeenRow(Table):
    """Ids of bus events that have taken effect, so that none does twice."""

    __tablename__ = "seen_events"
    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    time: Mapped[float] = mapped_column(index=True)


class PlanRow(Table):
    __tablename__ = "plans"
    number: Mapped[int] = mapped_column(BigId, primary_key=True)
    created: Mapped[float]
    assignments: Mapped[list[Any]]
    inputs: Mapped[dict[str, Any]]
    """Policy, inventory and market the planner saw: with them the decision can be replayed."""


class WishRow(Table):
    __tablename__ = "wishes"
    device: Mapped[str] = mapped_column(String(128), primary_key=True)
    workload: Mapped[str]
    locked: Mapped[bool]
    by: Mapped[str]
    created: Mapped[float]
    until: Mapped[float | None]


class PauseRow(Table):
    __tablename__ = "pauses"
    device: Mapped[str] = mapped_column(String(128), primary_key=True)
    by: Mapped[str]
    created: Mapped[float]


class QuarantineRow(Table):
    """Devices kept from work: those that computed wrongly until a person lets them work again,
    those with too many faults for a while."""

    __tablename__ = "quarantines"
    device: Mapped[str] = mapped_column(String(128), primary_key=True)
    reason: Mapped[str]
    created: Mapped[float]
    until: Mapped[float | None]


class SwitchRow(Table):
    __tablename__ = "switches"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    device: Mapped[str] = mapped_column(String(128), index=True)
    action: Mapped[str]
    workload: Mapped[str | None]
    state: Mapped[str] = mapped_column(index=True)
    plan_number: Mapped[int | None]
    asked: Mapped[float] = mapped_column(index=True)
    confirmed: Mapped[float | None]
    seconds: Mapped[float | None]
    detail: Mapped[str]
    by: Mapped[str]


class JobRow(Table):
    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    customer: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(index=True)
    interruptible: Mapped[bool]
    price_micro_per_hour: Mapped[int]
    quoted_total_micro: Mapped[int]
    created: Mapped[float] = mapped_column(index=True)
    total_steps: Mapped[int]
    steps_done: Mapped[int] = mapped_column(default=0)
    device_seconds: Mapped[float] = mapped_column(default=0.0)
    device: Mapped[str | None]
    """Holds the job until it says that it let go."""
    generation: Mapped[int] = mapped_column(default=0)
    """Highest that has reported; an older one's reports are ignored."""
    checkpoint: Mapped[str | None]
    results: Mapped[dict[str, Any]]
    preemptions: Mapped[int] = mapped_column(default=0)
    detail: Mapped[str] = mapped_column(default="")


class LossRow(Table):
    __tablename__ = "job_losses"
    job: Mapped[str] = mapped_column(String(32), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    loss: Mapped[float]


class QuoteRow(Table):
    __tablename__ = "quotes"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    interruptible: Mapped[bool]
    price_micro_per_hour: Mapped[int]
    floor_micro_per_hour: Mapped[int]
    estimated_device_seconds: Mapped[float]
    total_steps: Mapped[int]
    valid_until: Mapped[float] = mapped_column(index=True)
    job: Mapped[str | None] = mapped_column(String(32), unique=True)
    """The order: the job that this quote became; a quote becomes one job at most."""


class InvoiceRow(Table):
    __tablename__ = "invoices"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job: Mapped[str] = mapped_column(String(32), unique=True)
    customer: Mapped[str]
    device_seconds: Mapped[float]
    price_micro_per_hour: Mapped[int]
    total_micro: Mapped[int]
    issued: Mapped[float] = mapped_column(index=True)


class TransferRow(Table):
    """The ledger: each row debits one account and credits another by the same amount."""

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("key", "leg"),
        CheckConstraint("amount_micro > 0", name="positive_amount"),
        CheckConstraint("debit <> credit", name="two_accounts"),
    )
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(80))
    leg: Mapped[int]
    time: Mapped[float] = mapped_column(index=True)
    debit: Mapped[str] = mapped_column(String(128), index=True)
    credit: Mapped[str] = mapped_column(String(128), index=True)
    amount_micro: Mapped[int]
    text: Mapped[str]


class TokenRow(Table):
    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str]
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]]
    created: Mapped[float]
    expires: Mapped[float | None]


class CodeRow(Table):
    """One-time codes: to sign in (``purpose`` login) or to enrol a rig (``enrol``)."""

    __tablename__ = "codes"
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str]
    subject: Mapped[str]
    """Scopes, or the rig's name."""
    expires: Mapped[float]


class AuditRow(Table):
    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    time: Mapped[float]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[str]
    chain_hash: Mapped[str] = mapped_column(String(64))


Index("jobs_device", JobRow.device)
