"""Single layers of known networks on one core: products a second against the processor's limit.

The limit is measured in the same run, by products in registers alone. Layers of each network are
those that its time goes into; the times are CPU times, medians and minima of interleaved rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

from drivers.cpu import layers
from drivers.cpu.layers import (
    Convolution,
    Image,
    Method,
    PackedConvolution,
    Rescale,
    Residual,
    Team,
    Weights,
    Window,
)

#: Network: (height and width, in, out, window, stride, padding, groups, joins a residual).
Shape = tuple[int, int, int, int, int, int, int, bool]
SHAPES: dict[str, tuple[Shape, ...]] = {
    "ResNet-50": (
        (224, 3, 64, 7, 2, 3, 1, False),
        (56, 64, 64, 1, 1, 0, 1, False),
        (56, 64, 64, 3, 1, 1, 1, False),
        (56, 64, 256, 1, 1, 0, 1, True),
        (56, 256, 64, 1, 1, 0, 1, False),
        (56, 128, 128, 3, 2, 1, 1, False),
        (28, 128, 128, 3, 1, 1, 1, False),
        (28, 128, 512, 1, 1, 0, 1, True),
        (28, 512, 128, 1, 1, 0, 1, False),
        (14, 256, 256, 3, 1, 1, 1, False),
        (14, 256, 1024, 1, 1, 0, 1, True),
        (14, 1024, 256, 1, 1, 0, 1, False),
        (7, 512, 512, 3, 1, 1, 1, False),
        (7, 512, 2048, 1, 1, 0, 1, True),
        (7, 2048, 512, 1, 1, 0, 1, False),
        (1, 2048, 1000, 1, 1, 0, 1, False),
    ),
    "VGG16": (
        (224, 3, 64, 3, 1, 1, 1, False),
        (224, 64, 64, 3, 1, 1, 1, False),
        (112, 64, 128, 3, 1, 1, 1, False),
        (112, 128, 128, 3, 1, 1, 1, False),
        (56, 128, 256, 3, 1, 1, 1, False),
        (56, 256, 256, 3, 1, 1, 1, False),
        (28, 256, 512, 3, 1, 1, 1, False),
        (28, 512, 512, 3, 1, 1, 1, False),
        (14, 512, 512, 3, 1, 1, 1, False),
        (7, 512, 4096, 7, 1, 0, 1, False),
        (1, 4096, 4096, 1, 1, 0, 1, False),
    ),
    "SqueezeNet v1.1": (
        (224, 3, 64, 3, 2, 0, 1, False),
        (55, 64, 16, 1, 1, 0, 1, False),
        (55, 16, 64, 1, 1, 0, 1, False),
        (55, 16, 64, 3, 1, 1, 1, False),
        (27, 32, 128, 3, 1, 1, 1, False),
        (13, 48, 192, 3, 1, 1, 1, False),
        (13, 64, 256, 3, 1, 1, 1, False),
        (13, 512, 1000, 1, 1, 0, 1, False),
    ),
    "ResNet101-64x4d": (
        (56, 256, 256, 3, 1, 1, 64, False),
        (28, 512, 512, 3, 1, 1, 64, False),
        (14, 1024, 1024, 3, 1, 1, 64, False),
        (7, 2048, 2048, 3, 1, 1, 64, False),
        (14, 1024, 1024, 1, 1, 0, 1, True),
    ),
    "Inception v3": (
        (299, 3, 32, 3, 2, 0, 1, False),
        (147, 32, 64, 3, 1, 1, 1, False),
        (73, 80, 192, 3, 1, 0, 1, False),
        (35, 48, 64, 5, 1, 2, 1, False),
        (35, 96, 96, 3, 1, 1, 1, False),
        (17, 768, 192, 1, 1, 0, 1, False),
        (8, 1280, 384, 1, 1, 0, 1, False),
        (8, 448, 384, 3, 1, 1, 1, False),
    ),
    "CaffeNet": (
        (227, 3, 96, 11, 4, 0, 1, False),
        (27, 96, 256, 5, 1, 2, 2, False),
        (13, 384, 384, 3, 1, 1, 2, False),
        (6, 256, 4096, 6, 1, 0, 1, False),
    ),
}


def build(shape: Shape, batch: int, method: Method | None = None) -> PackedConvolution:
    """A layer with drawn weights, whose bytes lie as in a net: the first layer's in pixels of
    three channels, others' in multiples of 16."""
    size, inner, outer, window, stride, pad, groups, joins = shape
    out = (size + 2 * pad - window) // stride + 1
    source = Image(batch, size, size, inner, inner, 0)
    target = Image(batch, out, out, outer, -(-outer // 16) * 16, 0)
    moves = Window(window, window, stride, stride, pad, pad, pad, pad, 1, 1)
    by = Rescale(0, 8, -(2**15) + 1, 2**15 - 1, 20, 0, 255)
    join = Residual(1 << 12, 1 << 12, 1 << 12, 13, 0, 255, target.pixel_stride, 0)
    form = Convolution(source, target, moves, groups, 1, joins, by, join, 0, 255)
    random = np.random.default_rng(1)
    weight = np.clip(random.normal(0, 25, (outer, inner // groups, window, window)), -127, 127)
    bias, offset = np.zeros(outer, np.int32), np.full(outer, 1 << 19, np.int32)
    multiplier = np.full(outer, 3000, np.int32)
    weights = Weights(weight.astype(np.int8), bias, multiplier, offset)
    return PackedConvolution(form, weights, method)


class Trial:
    """One layer by one method, with its buffers."""

    def __init__(self, network: str, shape: Shape, layer: PackedConvolution, team: Team) -> None:
        self.network, self.shape, self.layer, self.team = network, shape, layer, team
        form = layer.form
        random = np.random.default_rng(2)
        self._source, self._target = form.source.empty(), form.target.empty()
        self._source[...] = random.integers(0, 256, self._source.shape)
        self._other = form.target.empty()
        scratch = layer.scratch(team.threads)
        self._call = layer.bind(self._source, self._other, self._target, scratch, team)
        self.seconds: list[float] = []

    @property
    def products(self) -> int:
        _, inner, outer, window, _, _, groups, _ = self.shape
        target = self.layer.form.target
        places = target.batch * target.height * target.width
        return places * outer * inner // groups * window * window

    def run(self) -> None:
        repeats = max(1, int(4e8 / self.products))
        clock = time.thread_time if self.team.threads == 1 else time.perf_counter
        started = clock()
        for _ in range(repeats):
            self._call()
        self.seconds.append((clock() - started) / repeats)

    def row(self, limit: float) -> dict[str, Any]:
        size, inner, outer, window, stride, _, groups, joins = self.shape
        best, middle = min(self.seconds), statistics.median(self.seconds)
        return {
            "network": self.network,
            "layer": f"{size}² {inner}→{outer} {window}×{window}/{stride} g{groups} {'+' * joins}",
            "method": self.layer.method.name.lower(),
            "threads": self.team.threads,
            "ms": 1e3 * middle,
            "ms_least": 1e3 * best,
            "gmac_per_s": self.products / best / 1e9,
            "percent_of_limit": 100 * self.products / best / limit / self.team.threads,
        }


def measure_limit() -> float:
    """Products of bytes a second in one core's registers."""
    started = time.thread_time()
    return layers.multiply_registers(1 << 22) / (time.thread_time() - started)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", help="only the layers of networks whose name has this in it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)


def run(
    quick: bool, network: str | None = None, threads: int = 1, batch: int = 1
) -> dict[str, Any]:
    rounds = 3 if quick else 15
    with Team(threads) as team:
        trials = []
        for name, shapes in SHAPES.items():
            if network is None or network.lower() in name.lower():
                for shape in shapes:
                    for method in build(shape, batch).methods:
                        if method != Method.PLAIN:
                            layer = build(shape, batch, method)
                            trials.append(Trial(name, shape, layer, team))
        limits = []
        for _ in range(rounds):
            limits.append(measure_limit())
            for trial in trials:
                trial.run()
    limit = max(limits)
    return {
        "isa": layers.isa(),
        "limit_gmac_per_s": limit / 1e9,
        "rows": [trial.row(limit) for trial in trials],
    }
