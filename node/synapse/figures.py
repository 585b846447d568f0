"""What the service counts, for Prometheus and for people."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from node.latencies import Latencies

disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)


class Kind(StrEnum):
    """What was asked."""

    HASH = "hash"
    CONTENT = "content"
    GAS = "gas"
    UNREAD = "unread"
    """It could not be read, or was not."""


class Outcome(StrEnum):
    """How it was answered."""

    OK = "ok"
    LOGIC_ERROR = "logic_error"
    UNAVAILABLE = "unavailable"
    """No engine, model or input: a runtime error."""
    LATE = "late"
    """The deadline passed: a runtime error."""
    BUSY = "busy"
    """Too much waits already: a runtime error."""
    MALFORMED = "malformed"
    REFUSED = "refused"
    """The caller is not allowed."""


class Source(StrEnum):
    """Where a result came from."""

    CACHE = "cache"
    JOINED = "joined"
    """An equal request was being computed."""
    COMPUTED = "computed"
    FIXED = "fixed"
    """History made it binding."""


class Figures:
    def __init__(self) -> None:
        self.began = time.time()
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "synapse_requests",
            "Requests answered.",
            ("type", "outcome"),
            registry=self._registry,
        )
        self._sources = Counter(
            "synapse_results",
            "Results by where they came from.",
            ("source",),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "synapse_request_seconds",
            "From the first byte read to the answer.",
            ("type",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._engine = Counter(
            "synapse_engine_unavailable",
            "Inferences that the engine could not compute.",
            registry=self._registry,
        )
        self._fetched = Counter(
            "synapse_contents_fetched",
            "Models and inputs that had to be fetched, by outcome.",
            ("outcome",),
            registry=self._registry,
        )
        self.latencies = Latencies()
        self._gauges: dict[str, Gauge] = {}
        self._known = {
            (kind, outcome): self._requests.labels(kind, outcome)
            for kind in Kind
            for outcome in Outcome
        }
        self._times = {kind: self._seconds.labels(kind) for kind in Kind}
        self._found = {source: self._sources.labels(source) for source in Source}

    def count_request(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        self.latencies.add(seconds)
        self._known[kind, outcome].inc()
        self._times[kind].observe(seconds)

    def count_source(self, source: Source) -> None:
        self._found[source].inc()

    def count_engine_unavailable(self) -> None:
        self._engine.inc()

    def count_fetched(self, outcome: str) -> None:
        self._fetched.labels(outcome).inc()

    def show(self, name: str, about: str, value: float) -> None:
        """Set a gauge ``synapse_<name>``."""
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"synapse_{name}", about, registry=self._registry)
        self._gauges[name].set(value)

    def render(self) -> bytes:
        """Prometheus' text."""
        return generate_latest(self._registry)

    def totals(self) -> dict[str, int]:
        """Requests by outcome."""
        counts = dict.fromkeys(map(str, Outcome), 0)
        for labels, value in self._samples():
            counts[labels["outcome"]] += int(value)
        return counts

    def _samples(self) -> Iterator[tuple[dict[str, str], float]]:
        for metric in self._requests.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    yield sample.labels, sample.value
