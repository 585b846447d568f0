"""Bodies of the HTTP API, from which the OpenAPI document and the dashboard's client follow.

Money is integers in micro-units (``_micro``); amounts on the chain are decimal strings in wei.
A reading that is not there is null, with its reason in ``missing``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from farmctl.domain import JobState, Priority, Workload


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(Body):
    """Every error's body."""

    error: str
    """Name of the error class."""
    message: str


class StateCounts(Body):
    healthy: int
    attention: int
    offline: int
    paused: int


class NodeView(Body):
    running: bool
    chain: str
    height: int
    head: str
    head_age_seconds: float | None
    difficulty: int
    syncing: bool
    pending_transactions: int
    peers: int
    coinbase: str
    balance_wei: str
    blocked: str
    """Why production waits; empty when it does not."""
    mode: Literal["full", "light"]


class MoneyView(Body):
    revenue_micro_per_hour: int
    power_micro_per_hour: int | None
    """None while no device reports its power."""
    net_micro_per_hour: int
    sold_devices: int
    idle_devices: int
    currency: str


class OverviewView(Body):
    farm: str
    time: float
    devices: StateCounts
    rigs: StateCounts
    workloads: dict[str, int]
    """Devices by workload."""
    graphs_per_second: float
    infers_per_second: float
    training_steps_per_second: float
    power_watts: float | None
    power_reporting: int
    devices_total: int
    money: MoneyView
    node: NodeView | None
    plan_number: int
    shares_accepted: int
    shares_stale: int
    shares_rejected: int
    shares_invalid: int


class FamilyView(Body):
    family: str
    status: Literal["pass", "absent", "broken"]
    reason: str
    seconds: float
    """That looking for its devices took."""


class RigView(Body):
    name: str
    site: str
    state: Literal["healthy", "attention", "offline"]
    reason: str
    agent_version: str
    last_seen: float
    plan_number: int
    devices: int
    families: list[FamilyView]


class SelfTestView(Body):
    capability: str
    passed: bool
    detail: str
    seconds: float


class DeviceView(Body):
    key: str
    rig: str
    id: str
    family: str
    model: str
    hardware_id: str
    capabilities: list[str]
    self_tests: list[SelfTestView]
    state: Literal["healthy", "attention", "offline", "paused"]
    reason: str
    workload: Workload
    """Confirmed by the rig."""
    wanted: Workload
    """By the current plan."""
    why: str
    """The planner's reason."""
    priority: Priority
    infer_reserve: bool
    job_id: str | None
    locked: bool
    paused: bool
    quarantined: bool = False
    """It computed wrongly or failed too often; ``clear`` has it tested again."""
    wish: Workload | None
    readings: dict[str, float | None]
    missing: dict[str, str]
    net_micro_per_hour: dict[str, int]
    """By workload, as the planner estimates it."""
    shares_accepted: int
    shares_stale: int
    shares_rejected: int
    shares_invalid: int


class SeriesView(Body):
    device: str
    field: str
    times: list[float]
    values: list[float | None]
    step_seconds: float


class SwitchRequest(Body):
    workload: Workload
    lock: bool = False
    until: float | None = None


class SwitchView(Body):
    """A change asked for by a person, and what became of it."""

    id: str
    device: str
    action: Literal["switch", "unlock", "pause", "resume", "clear"]
    workload: Workload | None
    state: Literal["pending", "confirmed", "failed"]
    plan_number: int | None
    asked: float
    confirmed: float | None
    seconds: float | None
    detail: str


class QuoteRequest(Body):
    kind: str = "digits-cnn"
    parameters: dict[str, str] = {}
    interruptible: bool = True


class QuoteView(Body):
    id: str
    kind: str
    parameters: dict[str, str]
    interruptible: bool
    price_micro_per_hour: int
    floor_micro_per_hour: int
    """What the device would earn by mining."""
    estimated_device_seconds: float
    estimated_total_micro: int
    valid_until: float


class JobRequest(Body):
    quote: str
    """Id of a quote that is still valid."""
    name: str = Field(min_length=1, max_length=80)
    customer: str = Field(default="demo", min_length=1, max_length=80)


class JobView(Body):
    id: str
    name: str
    customer: str
    kind: str
    parameters: dict[str, str]
    state: JobState
    interruptible: bool
    price_micro_per_hour: int
    quoted_total_micro: int
    created: float
    device: str | None
    steps_done: int
    total_steps: int
    device_seconds: float
    losses: list[tuple[int, float]]
    """Step and loss, thinned to at most 500 points."""
    preemptions: int
    results: dict[str, str]
    invoice: str | None
    detail: str


class InvoiceView(Body):
    id: str
    job: str
    customer: str
    device_seconds: float
    price_micro_per_hour: int
    total_micro: int
    issued: float
    paid: float | None
    """When its payment was recorded; None while it is owed."""


class LedgerEntryView(Body):
    id: int
    transaction: str
    time: float
    account: str
    amount_micro: int
    """Debits are positive, credits negative; each transaction sums to nothing."""
    text: str


class BalanceView(Body):
    account: str
    balance_micro: int
    """Debits are positive, credits negative; all accounts sum to nothing."""


class OfferView(Body):
    """Capacity for sale now."""

    device: str
    model: str
    price_micro_per_hour: int
    floor_micro_per_hour: int
    available: bool
    reason: str


class ArtifactView(Body):
    stored_bytes: int
    """How much of it is here; send the rest from there on."""
    complete: bool
    detail: str


class KeepBody(Body):
    """Files for the node's storage, as artifact ids: a model's ``symbol`` and ``params``, or an
    input or a card as ``data``."""

    files: dict[Literal["symbol", "params", "data"], str]


class KeptView(Body):
    infohash: str
    """Name of the files in the network's storage, 40 hex digits."""


class BlockView(Body):
    number: int
    hash: str
    parent: str
    time: int
    miner: str
    difficulty: int
    gas_used: int
    gas_limit: int
    transactions: int
    infer_calls: int | None
    """None from a light node, which executes no blocks."""
    size_bytes: int


class PlanView(Body):
    number: int
    created: float
    assignments: list[PlanLine]


class PlanLine(Body):
    device: str
    workload: Workload
    priority: Priority
    reason: str
    job_id: str | None
    infer_reserve: bool


class EventView(Body):
    id: int
    time: float
    kind: str
    subject: str
    text: str
    level: Literal["info", "warning", "error"]


class AuditView(Body):
    id: int
    time: float
    actor: str
    action: str
    subject: str
    detail: str
    chain_hash: str
    """Hash over this entry and the one before, so that a gap shows."""


class SessionView(Body):
    """Who the caller is."""

    name: str
    scopes: list[str]
    """``read``, ``operate``, ``sell``, ``admin``."""


PlanView.model_rebuild()
