"""What the node tells the farm of its inferences."""

from __future__ import annotations

from farmctl.inference.messages import MODELS_LIMIT, WorkerStatus
from farmctl.inference.reporting import shorten
from farmctl.messages import MAX_PAYLOAD_BYTES
from tests.farmctl.inference.test_board import EMPTY

MODELS = tuple(f"{n:040x}" for n in range(MODELS_LIMIT))


def status(device: str, models: tuple[str, ...] = MODELS) -> WorkerStatus:
    return WorkerStatus(device=device, models=models, residency=EMPTY)


def test_any_number_of_workers_goes_over_the_bus() -> None:
    told = shorten([status(f"rig-{n}/cuda:0") for n in range(100)])
    assert len(told) == 100 and all(each.models for each in told)
    assert sum(len(each.model_dump_json()) for each in told) < MAX_PAYLOAD_BYTES // 2


def test_few_are_told_of_whole() -> None:
    whole = [status("one/cuda:0"), status("two/cpu:0", MODELS[:3])]
    assert list(shorten(whole)) == whole
