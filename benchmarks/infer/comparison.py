"""The whole comparison: every net, setting and engine, then the ratios that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.infer.engines import Engine, all_engines
from benchmarks.infer.speed import Setting, measure_net
from benchmarks.infer.targets import rate_speed
from benchmarks.zoo.catalogue import all_nets, find


@dataclass(frozen=True)
class Choice:
    """What to measure; empty names mean all. ``seconds`` is the budget of a net and setting."""

    nets: tuple[str, ...]
    engines: tuple[str, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    seconds: float


def compare(choice: Choice) -> dict[str, Any]:
    engines, absent = find_engines(choice.engines)
    nets = [find(name) for name in choice.nets] if choice.nets else list(all_nets())
    rows: list[dict[str, Any]] = []
    for net in nets:
        for batch in choice.batches:
            for threads in choice.threads:
                rows += measure_net(net, engines, Setting(threads, batch), choice.seconds)
    return {"absent": absent, "rows": rows, "targets": rate_speed(rows)}


def find_engines(names: tuple[str, ...]) -> tuple[list[Engine], list[dict[str, str]]]:
    """The engines that can run, and why others cannot. Raises `ValueError` for unknown names."""
    engines = {each.name: each for each in all_engines()}
    if unknown := set(names) - engines.keys():
        raise ValueError(f"no engine {', '.join(unknown)}; there are {', '.join(engines)}")
    chosen = [engines[name] for name in names or engines]
    absent = [{"engine": e.name, "reason": e.missing()} for e in chosen if e.missing()]
    return [each for each in chosen if not each.missing()], absent
