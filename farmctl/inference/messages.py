"""What is asked of INFER workers, and what they and the node tell of inference.

==========================  =========  =====================================================
``infer.run.{}.{device}``   request    `InferRequest` → `InferReply`, to one device
``infer.worker.{}``         publish    `WorkerStatus`, each second and when models come and go
``node.inference``          publish    `InferenceStatus`, each second
==========================  =========  =====================================================
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from farmctl.messages import MAX_PAYLOAD_BYTES, CacheStatus, Message

#: Of an input or a result: in base64, with room for the rest of the message.
TENSOR_BYTES_LIMIT = MAX_PAYLOAD_BYTES // 4 * 3 - 4096
#: Models that a worker may tell of.
MODELS_LIMIT = 4096


class InferRequest(Message):
    """Run model on input bytes in the CVM's kernel form (one int8 or LE int32 per element)."""

    model: str
    """Infohash, 40 lower-case hex digits."""
    input: bytes
    seconds: float = Field(ge=0, allow_inf_nan=False)
    """That the asker waits, from when it comes: clocks of machines differ."""


class InferReply(Message):
    status: Literal["ok", "logic_error", "unavailable", "too_large"]
    """``logic_error``: the model or input is wrong, by consensus. Anything else that goes
    wrong is ``unavailable``, never a result; ``too_large``: no message holds the result."""
    output: bytes = b""
    milliseconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    detail: str = ""


class WorkerStatus(Message):
    """An INFER worker now; counts are since it opened its device."""

    device: str
    """Device key."""
    is_leaving: bool = False
    """It takes no more requests."""
    models: tuple[str, ...] = Field(default=(), max_length=MODELS_LIMIT)
    """Infohashes of those on the device."""
    waiting: int = Field(default=0, ge=0)
    """Requests that it has and has not answered."""
    limit: int = Field(default=1, ge=1)
    """It answers further ones with ``unavailable``."""
    slots: int = Field(default=1, ge=1)
    """Requests that it computes faster together than one after another."""
    load_seconds: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """That a model took lately to come onto the device."""
    residency: CacheStatus
    """Which models lie on the device; a hit is a request whose model did."""
    requests: int = Field(default=0, ge=0)
    """Answered with a result."""
    batches: int = Field(default=0, ge=0)
    """Runs of the device; one may serve several requests."""
    p50_milliseconds: float | None = None
    """Of the last requests, from coming to leaving; None before the first."""
    p99_milliseconds: float | None = None


class DeviceChecks(Message):
    """Of one device, since the node's start."""

    device: str
    by_reference: int
    by_class: int
    mismatches: int


class NodeInference(BaseModel):
    """Inference as the node sees it; counts are since its process began."""

    requests: dict[str, int]
    """By urgency: block, build, prerun, call, other."""
    hits: int
    """Answered from the kept results."""
    misses: int
    joined: int
    """Joined another request for the same."""
    refused: int
    """The queue was full."""
    dropped: int
    """Nobody wanted it any more when its turn came."""
    failed: int
    """No worker could answer."""
    computed: int
    waiting: int
    running: int
    p50_milliseconds: float | None
    p99_milliseconds: float | None
    result_bytes: int
    result_limit_bytes: int
    retracted: int
    """Kept results taken back because their device was found wrong."""
    corrected: int
    """Of those, the ones that were another when computed again."""
    prerun_transactions: int
    """Transactions that were executed ahead of their block."""
    prerun_inferences: int
    """Inferences that were asked for ahead of it."""


class InferenceStatus(NodeInference, Message):
    """What the node tells."""

    checks: tuple[DeviceChecks, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()


def worker_subject(device: str) -> str:
    """Where a device (key) takes requests of its own."""
    rig, _, local = device.partition("/")
    return f"infer.run.{rig}.{local}"
