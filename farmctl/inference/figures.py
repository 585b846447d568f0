"""Figures of inference for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from farmctl.inference.messages import InferenceStatus, WorkerStatus

_Value = Callable[[WorkerStatus], float]
#: Labels, the median and the 99th percentile.
_Row = tuple[list[str], float | None, float | None]
COUNTED = {
    "joined": "Requests that joined another for the same.",
    "refused": "Requests that came to a full queue.",
    "dropped": "Requests that nobody wanted any more when their turn came.",
    "failed": "Requests that no worker could answer.",
    "computed": "Inferences that an engine computed.",
    "retracted": "Kept results taken back, their device being wrong.",
    "corrected": "Of those, results that were another when computed again.",
    "prerun_transactions": "Transactions executed ahead of their block.",
    "prerun_inferences": "Inferences asked for ahead of their block.",
}
MEASURED = {
    "waiting": "Inferences that wait for their turn.",
    "running": "Inferences that are being computed.",
    "result_bytes": "Taken by kept results.",
}


class InferenceFigures(Collector):
    """As the node told them last."""

    def __init__(self, status: InferenceStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        asked = CounterMetricFamily("farm_infer_requests", "By urgency.", labels=["urgency"])
        for urgency, count in status.requests.items():
            asked.add_metric([urgency], count)
        yield asked
        kept = CounterMetricFamily(
            "farm_infer_results", "Look-ups of kept results.", labels=["outcome"]
        )
        for outcome, count in (("hit", status.hits), ("miss", status.misses)):
            kept.add_metric([outcome], count)
        yield kept
        for name, text in COUNTED.items():
            yield CounterMetricFamily(f"farm_infer_{name}", text, value=getattr(status, name))
        for name, text in MEASURED.items():
            yield GaugeMetricFamily(f"farm_infer_{name}", text, value=getattr(status, name))
        yield _times("farm_infer", [([], status.p50_milliseconds, status.p99_milliseconds)], [])
        yield from self._checks()
        yield from self._workers()

    def _checks(self) -> Iterator[Metric]:
        checks = CounterMetricFamily(
            "farm_infer_checks", "Results computed again.", labels=["device", "by"]
        )
        wrong = CounterMetricFamily(
            "farm_infer_mismatches", "Of those, wrong ones.", labels=["device"]
        )
        for each in self._status.checks:
            checks.add_metric([each.device, "reference"], each.by_reference)
            checks.add_metric([each.device, "class"], each.by_class)
            wrong.add_metric([each.device], each.mismatches)
        yield checks
        yield wrong

    def _workers(self) -> Iterator[Metric]:
        workers = self._status.workers
        looked = CounterMetricFamily(
            "farm_infer_worker_models",
            "Requests by whether their model lay on the device.",
            labels=["device", "outcome"],
        )
        for each in workers:
            looked.add_metric([each.device, "hit"], each.residency.hits)
            looked.add_metric([each.device, "miss"], each.residency.misses)
        yield looked
        for name in ("requests", "batches"):
            family = CounterMetricFamily(
                f"farm_infer_worker_{name}", f"Of an INFER worker: {name}.", labels=["device"]
            )
            for each in workers:
                family.add_metric([each.device], getattr(each, name))
            yield family
        yield _by_device("waiting", workers, lambda each: each.waiting)
        yield _by_device("models_held", workers, lambda each: len(each.models))
        yield _by_device("model_bytes", workers, lambda each: each.residency.used_bytes)
        rows = [([each.device], each.p50_milliseconds, each.p99_milliseconds) for each in workers]
        yield _times("farm_infer_worker", rows, ["device"])


def _by_device(name: str, workers: tuple[WorkerStatus, ...], value: _Value) -> Metric:
    family = GaugeMetricFamily(
        f"farm_infer_worker_{name}", f"Of an INFER worker: {name}.", labels=["device"]
    )
    for each in workers:
        family.add_metric([each.device], value(each))
    return family


def _times(name: str, rows: list[_Row], labels: list[str]) -> Metric:
    """Of the last answers; without a sample before the first."""
    family = GaugeMetricFamily(
        f"{name}_milliseconds", "From asking to the answer.", labels=[*labels, "quantile"]
    )
    for values, median, late in rows:
        for quantile, figure in (("0.5", median), ("0.99", late)):
            if figure is not None:
                family.add_metric([*values, quantile], figure)
    return family
