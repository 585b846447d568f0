"""How long each engine takes for each net, by threads and batch; and whether ours is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.infer.engines import INTEGER_ENGINES, Engine, Runner
from benchmarks.infer.engines.base import Images
from benchmarks.infer.reference import expected_scores
from benchmarks.infer.timing import take_turns
from benchmarks.zoo.catalogue import Net
from benchmarks.zoo.weights import random_images

IMAGE_SEED = 99
OURS = [name for name in INTEGER_ENGINES if name.startswith("farmctl")]


@dataclass(frozen=True)
class Setting:
    threads: int
    batch: int


def measure_net(
    net: Net, engines: Sequence[Engine], setting: Setting, budget_seconds: float
) -> Iterator[dict[str, Any]]:
    """A row for each engine; an engine that differs from the reference must not be timed."""
    images = draw_images(net, setting.batch)
    with ExitStack() as stack:
        runners: dict[str, Runner] = {}
        for engine in engines:
            if reason := engine.refuses(net, setting.batch):
                print(f"{net.name}, batch {setting.batch}: no {engine.name}: {reason}", flush=True)
                continue
            engine.prepare(net, setting.batch)
            runners[engine.name] = engine.load(net, images, setting.threads)
            stack.callback(runners[engine.name].close)
        exact = check(net, images, runners)
        times = take_turns({name: each.run for name, each in runners.items()}, budget_seconds)
    for name, found in times.items():
        each = {k: v / setting.batch if k != "rounds" else v for k, v in asdict(found).items()}
        yield {"net": net.name, **asdict(setting), "engine": name, **each, "exact": exact.get(name)}


def draw_images(net: Net, batch: int) -> Images:
    """Two images, again and again: the reference takes seconds for each."""
    two = random_images(net.shape, 2, IMAGE_SEED)
    return np.resize(two, (batch, *net.shape))


def check(net: Net, images: Images, runners: dict[str, Runner]) -> dict[str, bool]:
    """Whether the engines of the integer model answer as the reference does, by name.

    Raises:
        RuntimeError: one of ours does not.
    """
    found = {}
    for name in runners.keys() & INTEGER_ENGINES.keys():
        expected: NDArray[np.int32] = expected_scores(net, INTEGER_ENGINES[name], images)
        found[name] = bool(np.array_equal(runners[name].run(), expected))
    if wrong := [name for name, right in found.items() if name in OURS and not right]:
        raise RuntimeError(f"{net.name}: {', '.join(wrong)} differs from the reference")
    return found
