"""The whole comparison: every net, setting and engine, then the ratios that count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.infer.engines import Engine, all_engines
from benchmarks.infer.int6 import measure_int6
from benchmarks.infer.loading import measure_loading, rate_loading
from benchmarks.infer.probe import probe_all
from benchmarks.infer.probed import PROBED
from benchmarks.infer.speed import Setting, measure_net
from benchmarks.infer.stream import PEER, measure_stream, rate_stream
from benchmarks.infer.targets import OUR_FORMS, rate_speed
from benchmarks.zoo.catalogue import Net, all_nets, find

CACHED_REQUESTS, UNCACHED_REQUESTS = 400, 60
QUICK_REQUESTS = 20
#: Nets whose 6-bit form is shown.
NARROWED = ("squeezenet", "resnet-50", "vgg16")


@dataclass(frozen=True)
class Choice:
    """What to measure; no names of nets or engines mean all. ``seconds`` is the budget of a net
    and setting."""

    parts: tuple[str, ...]
    nets: tuple[str, ...]
    engines: tuple[str, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    seconds: float
    quick: bool

    def find_nets(self) -> list[Net]:
        return [find(name) for name in self.nets] if self.nets else list(all_nets())


def compare(choice: Choice) -> dict[str, Any]:
    """Rows of each part, and ``targets``: what the engine must show against what it did."""
    engines, absent = find_engines(choice.engines)
    found: dict[str, Any] = {"absent": absent, "targets": []}
    for part in choice.parts:
        found |= _PARTS[part](choice, engines, found["targets"])
    return found


def find_engines(names: tuple[str, ...]) -> tuple[list[Engine], list[dict[str, str]]]:
    """The engines that can run, and why others cannot. Raises `ValueError` for unknown names."""
    engines = {each.name: each for each in all_engines()}
    if unknown := set(names) - engines.keys():
        raise ValueError(f"no engine {', '.join(unknown)}; there are {', '.join(engines)}")
    chosen = [engines[name] for name in names or engines]
    absent = [{"engine": e.name, "reason": e.missing()} for e in chosen if e.missing()]
    return [each for each in chosen if not each.missing()], absent


Lines = list[dict[str, Any]]


def _probe(choice: Choice, engines: list[Engine], targets: Lines) -> dict[str, Lines]:
    return {"exactness": probe_all([each.name for each in engines if each.name in PROBED])}


def _time(choice: Choice, engines: list[Engine], targets: Lines) -> dict[str, Lines]:
    rows: Lines = []
    for net in choice.find_nets():
        for batch in choice.batches:
            for threads in choice.threads:
                rows += _told(measure_net(net, engines, Setting(threads, batch), choice.seconds))
    targets += rate_speed(rows)
    return {"rows": rows}


def _told(rows: Iterable[dict[str, Any]]) -> Lines:
    """The rows, each printed as it comes: the whole takes long."""
    kept = []
    for row in rows:
        kept.append(row)
        setting = f"{row['net']}, {row['threads']} threads, batch {row['batch']}"
        print(f"{setting}, {row['engine']}: {row['cpu_ms_least']:.2f} ms of CPU", flush=True)
    return kept


def _load(choice: Choice, engines: list[Engine], targets: Lines) -> dict[str, Lines]:
    rows: Lines = []
    for net in choice.find_nets():
        rows += measure_loading(net, choice.seconds)
    targets += rate_loading(rows)
    return {"loading": rows}


def _stream(choice: Choice, engines: list[Engine], targets: Lines) -> dict[str, Lines]:
    nets = [net for net in choice.find_nets() if net.in_table_3]
    compared = [each for each in engines if each.name in (*OUR_FORMS, PEER)]
    rows: Lines = []
    for threads in choice.threads:
        for cached, requests in ((True, CACHED_REQUESTS), (False, UNCACHED_REQUESTS)):
            count = QUICK_REQUESTS if choice.quick else requests
            rows += measure_stream(nets, compared, threads, cached, count)
    targets += rate_stream(rows)
    return {"stream": rows}


def _narrow(choice: Choice, engines: list[Engine], targets: Lines) -> dict[str, Lines]:
    rows: Lines = []
    for net in choice.find_nets():
        if net.name in NARROWED:
            rows += measure_int6(net, choice.seconds)
    return {"int6": rows}


_PARTS: Mapping[str, Callable[[Choice, list[Engine], Lines], dict[str, Lines]]] = {
    "exactness": _probe,
    "speed": _time,
    "loading": _load,
    "stream": _stream,
    "int6": _narrow,
}
