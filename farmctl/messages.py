"""Messages on the bus: subjects, forms and versions. Everything received is validated here.

Subjects (``{}`` is the rig's name):

==========================  =========  =====================================================
``inventory.{}``            publish    `InventoryReport`, on change and every 10 s
``reading.{}``              publish    `ReadingBatch`, every second; may be lost
``event.{}``                stream     `RigEvent`: acknowledgements, shares, job progress;
                                       JetStream, at least once, each with a unique ``id``
KV ``plans``, key ``{}``    latest     `RigPlan`, the desired state of one rig
``node.work``               request    empty → `Work`
``node.work.new``           publish    `Work`, whenever it changes
``node.submit``             request    `Submission` → `SubmissionReply`
``node.model``              request    `ModelRequest` → `ModelReply`, a chunk of a file
``node.keep``               request    `KeepRequest` → `KeepReply`: files for the node's storage
``node.status``             publish    `NodeStatus`, each second
``artifact.put``            request    `ArtifactChunk` → `ArtifactReply` (checkpoints, results)
``artifact.get``            request    `ArtifactRequest` → `ArtifactChunk`
==========================  =========  =====================================================

Inference and remote inference have their own (`farmctl.inference.messages`,
`farmctl.synapse.messages`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from farmctl.domain import JobState, Priority, Workload

#: NATS ``max_payload`` is set to this; chunks of files stay well below it.
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024


class Message(BaseModel):
    """Base of every message. A message of another version or with unknown keys is refused.
    Bytes are base64 in the JSON alone."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64"
    )
    v: Literal[1] = 1


class FamilyReport(Message):
    family: str
    status: Literal["pass", "absent", "broken"]
    reason: str = ""
    seconds: float = 0.0
    """That looking for its devices took."""


class SelfTestReport(Message):
    capability: str
    passed: bool
    detail: str = ""
    seconds: float = 0.0


class DeviceReport(Message):
    id: str
    hardware_id: str
    family: str
    model: str
    capabilities: tuple[str, ...]
    driver_version: str = ""
    memory_bytes: int | None = None
    details: dict[str, str] = {}
    health: str = "ok"
    health_reason: str = ""
    self_tests: tuple[SelfTestReport, ...] = ()
    workload: Workload = Workload.IDLE
    """Running now, as the runner confirms it."""
    job_id: str | None = None


class InventoryReport(Message):
    rig: str
    site: str
    boot_id: str
    at: float
    agent_version: str
    plan_number: int
    families: tuple[FamilyReport, ...]
    devices: tuple[DeviceReport, ...]


class Reading(Message):
    device: str
    """``family:index``."""
    at: float
    values: dict[str, float]
    """`drivers.base.TELEMETRY_FIELDS` and the workload's own rates: ``graphs_per_second``,
    ``infers_per_second``, ``steps_per_second``; ``joules_per_graph`` where power is read."""
    missing: dict[str, str] = {}


class ReadingBatch(Message):
    rig: str
    readings: tuple[Reading, ...]


class AssignmentMessage(Message):
    device: str
    """``family:index`` on this rig."""
    workload: Workload
    priority: Priority
    reason: str
    job_id: str | None = None
    infer_reserve: bool = False
    quarantined: bool = False
    """The device forgets its proofs, and is tested again when this is taken back."""
    paused: bool = False
    """Idle for a while: what it did before is held, and goes on when this is taken back."""
    generation: int = 0
    parameters: dict[str, str] = {}


class RigPlan(Message):
    """Desired state of one rig. An agent refuses a number lower than the one it holds."""

    rig: str
    number: int
    created: float
    assignments: tuple[AssignmentMessage, ...]


class DeviceAck(Message):
    """A device does now what plan ``plan_number`` says (or cannot, with the reason)."""

    kind: Literal["ack"] = "ack"
    device: str
    plan_number: int
    workload: Workload
    job_id: str | None = None
    state: Literal["running", "failed"]
    seconds: float
    """From receiving the plan to this state."""
    detail: str = ""


#: ``invalid``: the device's solution was wrong, which its rig found out before sending it.
ShareOutcome = Literal["accepted", "stale", "rejected", "invalid"]


class ShareEvent(Message):
    kind: Literal["share"] = "share"
    device: str
    chain: str
    outcome: ShareOutcome
    height: int
    detail: str = ""


class JobProgress(Message):
    """Cumulative and idempotent: a repeat or an older one changes nothing."""

    kind: Literal["job"] = "job"
    job_id: str
    device: str
    generation: int
    state: JobState
    steps_done: int
    device_seconds: float
    """Cumulative over all devices and attempts, as kept in the checkpoint."""
    loss: float | None = None
    checkpoint: str | None = None
    """Artifact id (sha-256) of the newest checkpoint."""
    results: dict[str, str] = {}
    """When done: artifact ids by file name, and figures such as ``accuracy``."""
    detail: str = ""


#: Code of the fault that puts a device into quarantine: its inference differs from the reference.
INFER_MISMATCH = "infer_mismatch"

#: Code of the fault of a device that found a wrong cycle; its rig has it prove itself again.
WRONG_ANSWER = "wrong_answer"


class FaultEvent(Message):
    kind: Literal["fault"] = "fault"
    device: str
    code: str
    step: str
    """What the ladder did: ``reset_session``, ``quarantine`` …"""
    detail: str = ""


class RigEvent(Message):
    id: str
    """Unique; the controller stores each once."""
    rig: str
    at: float
    body: Annotated[DeviceAck | ShareEvent | JobProgress | FaultEvent, Field(discriminator="kind")]


class Work(Message):
    chain: str
    seal_hash: str
    """What the nonce is appended to, hex without 0x: for Cortex 32 bytes, for other coins the
    header without its proof of work."""
    target: str
    """32 bytes big-endian, hex: a solution's hash must not exceed it."""
    height: int
    edge_bits: int
    compression_rounds: int
    finalisation_rounds: int
    proof_size: int = 42
    cycle: Literal["cuckaroo", "cuckatoo"] = "cuckaroo"
    nonce_order: Literal["little", "big"] = "little"
    proof_hash: Literal["keccak_words", "blake2b_packed"] = "keccak_words"
    available: bool = True
    detail: str = ""


class Submission(Message):
    chain: str
    seal_hash: str
    nonce: int = Field(ge=0, lt=2**64)
    edges: tuple[int, ...]
    worker: str
    """Device key."""


class SubmissionReply(Message):
    outcome: Literal["accepted", "stale", "rejected"]
    duplicate: bool = False
    """Rejected only because it was taken before."""
    detail: str = ""


class ModelRequest(Message):
    model: str
    file: Literal["symbol", "params", "data"]
    """``data`` is an input's only one."""
    offset: int = Field(default=0, ge=0)


class ModelReply(Message):
    found: bool
    total_bytes: int = 0
    chunk: bytes = b""
    detail: str = ""


class KeepRequest(Message):
    """Put files, which the controller has as artifacts, into the node's storage: a model's
    ``symbol`` and ``params``, or an input or a card as ``data``."""

    files: dict[Literal["symbol", "params", "data"], str]
    """Artifact ids (sha-256, hex)."""


class KeepReply(Message):
    infohash: str = ""
    """Under which the files are kept now, 40 hex digits; empty where they are refused."""
    detail: str = ""


class StratumStatus(Message):
    """The pool at the node; counts are since its process began."""

    connections: int
    miners: int
    """Accounts that are connected."""
    banned: int
    """Addresses shut out now."""
    shares: dict[str, int]
    """By outcome: accepted, stale, duplicate, low_difficulty, invalid."""
    work: int
    """Sum of the difficulties of accepted shares."""
    bad_lines: int
    refused_connections: int
    dropped_connections: int
    bans: int
    blocks: int


class CacheStatus(Message):
    """The node's cache of loaded models; counts are since its process began."""

    policy: str
    limit_bytes: int
    used_bytes: int
    entries: int
    hits: int
    misses: int
    evictions: int


class NodeStatus(Message):
    chain: str
    height: int
    head: str
    time: int
    difficulty: int
    syncing: bool
    pending_transactions: int
    peers: int
    coinbase: str
    balance_wei: str
    """Of the coinbase, decimal."""
    blocked: str = ""
    """Why block production waits, e.g. no INFER worker; empty when it does not."""
    stratum: StratumStatus | None = None
    """None where no miners of others are served."""
    relay: StratumStatus | None = None
    """None where they are served no other pool's work."""
    model_cache: CacheStatus | None = None
    """None from a node that keeps no models."""
    mode: Literal["full", "light"] = "full"


class ArtifactChunk(Message):
    artifact: str
    """sha-256 of the whole, hex."""
    offset: int = Field(ge=0)
    total_bytes: int = Field(ge=0)
    chunk: bytes = b""


class ArtifactRequest(Message):
    artifact: str
    offset: int = Field(default=0, ge=0)


class ArtifactReply(Message):
    stored_bytes: int
    complete: bool
    detail: str = ""
