"""How the farm's inferences do: requests, kept results, workers, and checks of devices."""

from fastapi import APIRouter, Request

from farmctl.api import schemas
from farmctl.api.auth import Reader, find_farm
from farmctl.errors import Unavailable
from farmctl.inference.messages import (
    DeviceChecks,
    InferenceStatus,
    NodeInference,
    WorkerStatus,
)
from node.models.cache import hit_ratio

router = APIRouter(prefix="/v1/inference", tags=["inference"])


class InferWorkerView(schemas.Body):
    """An INFER worker; counts are since it opened its device."""

    device: str
    present: bool
    """It takes requests; a device that was only checked earlier does not."""
    requests: int
    batches: int
    waiting: int
    models: list[str]
    """Infohashes of those on the device."""
    model_bytes: int
    model_limit_bytes: int
    policy: str
    hit_ratio: float | None
    """Share of the requests whose model lay there; None before the first."""
    p50_milliseconds: float | None
    p99_milliseconds: float | None
    checks_by_reference: int
    checks_by_class: int
    mismatches: int


class InferenceView(NodeInference, schemas.Body):
    """Counts are since the node's process began."""

    hit_ratio: float | None
    """Of the kept results; None before the first look-up."""
    workers: list[InferWorkerView]


@router.get("")
async def show_inference(request: Request, caller: Reader) -> InferenceView:
    status = find_farm(request).inference()
    if status is None:
        raise Unavailable("the node does not report; it is started again by itself")
    return _show(status)


def _show(status: InferenceStatus) -> InferenceView:
    checks = {each.device: each for each in status.checks}
    present = {each.device: each for each in status.workers}
    return InferenceView(
        **status.model_dump(include=set(NodeInference.model_fields)),
        hit_ratio=hit_ratio(status.hits, status.misses),
        workers=[
            _show_worker(device, present.get(device), checks.get(device))
            for device in sorted(present.keys() | checks.keys())
        ],
    )


def _show_worker(
    device: str, worker: WorkerStatus | None, checks: DeviceChecks | None
) -> InferWorkerView:
    residency = worker.residency if worker else None
    return InferWorkerView(
        device=device,
        present=worker is not None,
        requests=worker.requests if worker else 0,
        batches=worker.batches if worker else 0,
        waiting=worker.waiting if worker else 0,
        models=list(worker.models) if worker else [],
        model_bytes=residency.used_bytes if residency else 0,
        model_limit_bytes=residency.limit_bytes if residency else 0,
        policy=residency.policy if residency else "",
        hit_ratio=hit_ratio(residency.hits, residency.misses) if residency else None,
        p50_milliseconds=worker.p50_milliseconds if worker else None,
        p99_milliseconds=worker.p99_milliseconds if worker else None,
        checks_by_reference=checks.by_reference if checks else 0,
        checks_by_class=checks.by_class if checks else 0,
        mismatches=checks.mismatches if checks else 0,
    )
