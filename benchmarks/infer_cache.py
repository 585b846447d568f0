"""Which models stay on a device: hit ratios by policy, counted by the worker's own books, and then
in a real farm on loopback whose worker has room for half of its models.

The whitepaper's stream asks for a random one of its eight models each time: nothing but their sizes
is worth knowing there. A Zipf stream over many models is what a farm with customers sees.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.infer_service import Model, check, drive
from benchmarks.infer_service.farm import InferFarm
from benchmarks.infer_service.models import convolutional_net
from benchmarks.model_cache import STREAMS, WHITEPAPER, sizes
from farmctl.inference.messages import WorkerStatus
from farmctl.inference.residency import Residency
from node.inference import Inference
from node.models.eviction import Policy
from node.spec.cvm import Graph, load

REQUESTS, QUICK_REQUESTS = 100_000, 5_000
ASKED, QUICK_ASKED = 600, 120
SHARES = (0.25, 0.5, 0.75)
SEED = 20260
#: Of the models of the real farm, by side: the larger, the longer it takes to bring it in.
SIDES = (8, 8, 8, 8, 8, 8, 16, 16, 16, 32, 32, 48)
CHANNELS = 16


def run(quick: bool) -> dict[str, Any]:
    count = QUICK_REQUESTS if quick else REQUESTS
    eight = [int(4e6 * millions) for millions in WHITEPAPER]
    many = [4 * size for size in sizes()]
    rows = [
        count_hits(stream, bytes_of, share, policy, count)
        for stream, bytes_of in (("uniform", eight), ("zipf 1.2", many), ("zipf 0.8", many))
        for share in SHARES
        for policy in Policy
    ]
    asked = QUICK_ASKED if quick else ASKED
    return {"rows": rows, "farm": [asyncio.run(_measure(policy, asked)) for policy in Policy]}


def count_hits(
    stream: str, bytes_of: list[int], share: float, policy: Policy, count: int
) -> dict[str, Any]:
    rng = random.Random(SEED)
    uniform = rng.choices(range(len(bytes_of)), k=count)
    asked = uniform if stream == "uniform" else STREAMS[stream](rng, count)
    books, graph = Residency(int(sum(bytes_of) * share), policy), _any_graph()
    names = [number.to_bytes(20, "big").hex() for number in range(len(bytes_of))]
    loaded = 0
    for number in asked:
        name, was_there = names[number], names[number] in books
        if not was_there:
            books.make_room(bytes_of[number])
            books.add(name, graph, bytes_of[number])
            loaded += bytes_of[number]
        books.use(name, 1, was_there)
    counts = books.counts()
    return {
        "stream": stream,
        "room": share,
        "policy": str(policy),
        "hit_ratio": counts.hits / count,
        "megabytes_loaded_per_request": loaded / count / 1e6,
        "evictions": counts.evictions,
    }


def _any_graph() -> Graph:
    return load(*convolutional_net(2, 1))


async def _measure(policy: Policy, asked: int) -> dict[str, Any]:
    files = [convolutional_net(side, CHANNELS, number) for number, side in enumerate(SIDES)]
    room = sum(4 * _parameters(side) for side in SIDES) // 2
    with tempfile.TemporaryDirectory() as folder:
        settings = {"FARMCTL_RIG_INFER_BYTES": str(room), "FARMCTL_RIG_INFER_POLICY": str(policy)}
        farm = InferFarm(Path(folder), 10.0, **settings)
        try:
            await farm.start()
            runner = await farm.add("rig-0")
            inference = Inference(farm.loader, farm.engine)
            models = [Model(str(number), farm, each) for number, each in enumerate(files)]
            for model in models:
                await check(inference, model)
            order = _zipf(len(models), asked)
            found = await drive(inference, "zipf", (models[n] for n in order), 1, asked)
            await farm.until(lambda: _status(farm, runner.key).requests >= asked + len(models))
            counts = _status(farm, runner.key).residency
            await asyncio.to_thread(inference.close)
        finally:
            await farm.stop()
    return {
        "policy": str(policy),
        "hit_ratio": counts.hits / (counts.hits + counts.misses),
        "evictions": counts.evictions,
        **{key: found[key] for key in ("p50_milliseconds", "p99_milliseconds")},
        "requests_per_second": found["requests_per_second"],
    }


def _status(farm: InferFarm, device: str) -> WorkerStatus:
    return next(each for each in farm.engine.board.statuses() if each.device == device)


def _parameters(side: int) -> int:
    return 27 * CHANNELS + 9 * CHANNELS**2 + 10 * side * side * CHANNELS


def _zipf(models: int, count: int) -> list[int]:
    rng = np.random.default_rng(SEED)
    weights = 1 / np.arange(1, models + 1)
    ranks = rng.permutation(models)
    drawn: list[int] = rng.choice(ranks, size=count, p=weights / weights.sum()).tolist()
    return drawn
