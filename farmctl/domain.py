"""The farm's records: frozen, with no behaviour beyond what follows from their fields.

Money is integers in micro-units of the farm's currency (``_micro``); time is seconds since the
epoch; a device key is ``rig/family:index``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

DeviceKey = str
"""``rig/family:index``, unique on the farm."""


LENT_RIG = "browsers"
"""Name of the rig whose devices are browsers; no other may have it."""


def device_key(rig: str, device_id: str) -> DeviceKey:
    return f"{rig}/{device_id}"


class Workload(StrEnum):
    """What a device can be told to do. One file each in ``farmctl/workloads``."""

    MINE = "mine"
    INFER = "infer"
    TRAIN = "train"
    EXTERNAL = "external"
    IDLE = "idle"


class Priority(IntEnum):
    """Who wins a device; the higher number does."""

    IDLE = 0
    MINING = 10
    INTERRUPTIBLE = 20
    INFER_RESERVE = 30
    CONTRACT = 40
    MANUAL = 50
    SAFETY = 60


@dataclass(frozen=True)
class Rig:
    name: str
    site: str
    agent_version: str
    boot_id: str
    last_seen: float
    plan_number: int
    """Number of the plan the rig says it is following; 0 before the first."""


@dataclass(frozen=True)
class Device:
    """A device as the controller knows it."""

    key: DeviceKey
    rig: str
    id: str
    hardware_id: str
    family: str
    model: str
    capabilities: frozenset[str]
    proved: frozenset[str]
    """Capabilities whose known-answer test has passed on this driver version."""
    health: str
    """`drivers.base.HealthStatus`, or ``offline`` when the rig is silent."""
    health_reason: str
    workload: Workload
    """What it is doing now, as confirmed by its rig."""
    job_id: str | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Assignment:
    """What one device is to do under a plan."""

    device: DeviceKey
    workload: Workload
    priority: Priority
    reason: str
    """For people: why the planner chose this."""
    job_id: str | None = None
    infer_reserve: bool = False
    """Also answer INFER requests beside the workload."""
    quarantined: bool = False
    """Idle because it computed wrongly: it must prove itself again before any work."""
    paused: bool = False
    """Idle for a while: its rig may hold what it did before, with the device's memory free."""
    generation: int = 0
    """Fencing number: grows whenever device or job changes hands."""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A numbered, immutable decision for the whole farm."""

    number: int
    created: float
    assignments: tuple[Assignment, ...]

    def for_rig(self, rig: str) -> tuple[Assignment, ...]:
        return tuple(a for a in self.assignments if a.device.split("/", 1)[0] == rig)


@dataclass(frozen=True)
class Wish:
    """A person's will for a device. Locked, it holds against everything but safety; not locked, it
    is a push that yields to sold work and runs out."""

    device: DeviceKey
    workload: Workload
    locked: bool
    by: str
    created: float
    until: float | None = None


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PREEMPTED = "preempted"
    """Checkpointed; waits for a device."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Job:
    """A training job sold to a customer."""

    id: str
    customer: str
    name: str
    kind: str
    """Name of a built-in trainer (``digits-cnn``) or ``script``."""
    parameters: Mapping[str, str]
    state: JobState
    interruptible: bool
    price_micro_per_hour: int
    created: float
    total_steps: int
    steps_done: int
    device_seconds: float
    device: DeviceKey | None = None
    detail: str = ""


@dataclass(frozen=True)
class Event:
    """Something worth telling: shown, stored and audited."""

    time: float
    kind: str
    """One word, e.g. ``switch``, ``fault``, ``job``, ``share``, ``rig``."""
    subject: str
    text: str
    level: str = "info"
    """info, warning or error."""


class FaultStep(StrEnum):
    """What a rig does about a device's faults, the gentlest first."""

    RESTART_SESSION = "restart_session"
    RESTART_RUNNER = "restart_runner"
    LOWER_POWER = "lower_power"
    QUARANTINE = "quarantine"


QUARANTINE_SECONDS = 900.0
