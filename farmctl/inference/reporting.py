"""What the node tells the farm of its inferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from farmctl.bus_engine import BusEngine
from farmctl.inference.messages import DeviceChecks, InferenceStatus, WorkerStatus
from node.core import Node
from node.inference import CrossCheckedEngine

#: Names of models in one message, so that it goes over the bus however many workers there are.
MODELS_TOLD = 32_768


def describe(node: Node, engine: BusEngine, checked: CrossCheckedEngine) -> InferenceStatus:
    counts, prerun = node.inference.counts(), node.prerunner.counts
    results = counts.results
    checks = [
        DeviceChecks(device=device, **asdict(each)) for device, each in checked.counts().items()
    ]
    return InferenceStatus(
        **asdict(counts.scheduler),
        hits=results.hits,
        misses=results.misses,
        result_bytes=results.used_bytes,
        result_limit_bytes=results.limit_bytes,
        retracted=counts.retracted,
        corrected=counts.corrected,
        prerun_transactions=prerun.transactions,
        prerun_inferences=prerun.inferences,
        checks=tuple(checks),
        workers=shorten(engine.board.statuses()),
    )


def shorten(statuses: Sequence[WorkerStatus], most: int = MODELS_TOLD) -> tuple[WorkerStatus, ...]:
    """Workers with at most so many names of models in all, each with its share."""
    share = most // max(1, len(statuses))
    return tuple(
        each
        if len(each.models) <= share
        else each.model_copy(update={"models": each.models[:share]})
        for each in statuses
    )
