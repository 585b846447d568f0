"""The whitepaper's stream: each request is an image for a random one of its eight nets, batch 1.

Cached: every net stays loaded. Uncached: each request loads its net, runs it and lets it go. Both
engines get the same requests, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines import Engine, Runner
from benchmarks.infer.engines.base import Images
from benchmarks.infer.targets import OUR_FORMS, Row, rate
from benchmarks.infer.timing import clock, settle
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.weights import random_images

SEED = 36
CACHED, UNCACHED = 1.2, 5.0
PEER = "onnxruntime"

Answer = Callable[[Net], object]


def measure_stream(
    nets: list[Net], engines: list[Engine], threads: int, cached: bool, requests: int
) -> list[dict[str, Any]]:
    """A row for each engine: requests a second, and the tail of their times."""
    images = {net.name: random_images(net.shape, 1, SEED) for net in nets}
    for engine in engines:
        for net in nets:
            engine.prepare(net, 1)
    opened: dict[str, Mapping[str, Runner]] = {}
    answers: dict[str, Answer] = {}
    for engine in engines:
        if cached:
            opened[engine.name] = {n.name: engine.load(n, images[n.name], threads) for n in nets}
            answers[engine.name] = _answer_resident(opened[engine.name])
        else:
            answers[engine.name] = _answer_anew(engine, images, threads)
    rows = _run(nets, answers, requests)
    for resident in opened.values():
        for runner in resident.values():
            runner.close()
    return [{"cached": cached, "threads": threads, "requests": requests, **row} for row in rows]


def rate_stream(rows: list[dict[str, Any]]) -> list[Row]:
    """Against the peer: requests a second of CPU for one thread, of the clock for two."""
    found = {(row["cached"], row["threads"], row["engine"]): row for row in rows}
    lines: list[Row] = []
    for (cached, threads, engine), ours in found.items():
        theirs = found.get((cached, threads, PEER))
        if engine not in OUR_FORMS or theirs is None:
            continue
        by = "cpu" if threads == 1 else "wall"
        label = f"stream {'cached' if cached else 'uncached'}, {threads} threads"
        label += engine.removeprefix("farmctl")
        mean_ms = [1e3 / row[f"requests_{by}_second"] for row in (ours, theirs)]
        lines.append(rate(label, mean_ms[0], PEER, mean_ms[1], CACHED if cached else UNCACHED))
    return lines


def _answer_resident(runners: Mapping[str, Runner]) -> Answer:
    return lambda net: runners[net.name].run()


def _answer_anew(engine: Engine, images: Mapping[str, Images], threads: int) -> Answer:
    def answer(net: Net) -> None:
        runner = engine.load(net, images[net.name], threads)
        runner.run()
        runner.close()

    return answer


def _run(nets: list[Net], answers: Mapping[str, Answer], requests: int) -> list[dict[str, Any]]:
    order = np.random.default_rng(SEED).integers(0, len(nets), requests)
    for answer in answers.values():
        for net in nets:
            answer(net)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in answers}
    for index in order:
        for name, answer in answers.items():
            settle()
            times[name].append(clock(lambda: answer(nets[index])))  # noqa: B023  (called at once)
    return [{"engine": name, **_summarise(np.array(found))} for name, found in times.items()]


def _summarise(times: NDArray[np.float64]) -> dict[str, float]:
    cpu, wall = times.T
    return {
        "requests_wall_second": len(wall) / float(wall.sum()),
        "requests_cpu_second": len(cpu) / float(cpu.sum()),
        "p50_wall_ms": 1e3 * float(np.percentile(wall, 50)),
        "p99_wall_ms": 1e3 * float(np.percentile(wall, 99)),
        "p99_cpu_ms": 1e3 * float(np.percentile(cpu, 99)),
    }
