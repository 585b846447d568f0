"""Which engines are exact: a convolution whose right answer is known, by engine and instructions.

Three inputs: `trap`, 255 times ±127, whose pairs pass 16 bits; `random`; `ties`, where half of
the sums lie between two answers (they go up). An engine is exact if all answers are right.
``python -m benchmarks.infer.probe ENGINE`` is the child process for a forced instruction set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS, OUTPUTS, SIDE, SIZE = 64, 64, 8, 3
CHILD_SECONDS = 120
#: Variable and values by which an engine is told to leave newer instructions alone.
FORCED: dict[str, tuple[str, tuple[str, ...]]] = {
    "farmctl": ("FARMCPU_ISA", ("baseline", "avx2", "avx512", "avx512vnni")),
    "openvino": ("ONEDNN_MAX_CPU_ISA", ("AVX2", "AVX512_CORE")),
    "torch": ("ONEDNN_MAX_CPU_ISA", ("AVX2", "AVX512_CORE")),
}


@dataclass(frozen=True)
class Case:
    """``image`` (1, c, h, w) of 0…255, ``weight`` (o, c, 3, 3) of ±127; the answer is
    ``clip((sum + 2^(shift−1)) >> shift, −128, 127)``."""

    name: str
    image: NDArray[np.int64]
    weight: NDArray[np.int64]
    shift: int

    def sums(self) -> NDArray[np.int64]:
        windows = np.lib.stride_tricks.sliding_window_view(self.image[0], (SIZE, SIZE), (1, 2))
        found: NDArray[np.int64] = np.einsum("chwyx,ocyx->ohw", windows, self.weight)
        return found[np.newaxis]

    def expected(self) -> NDArray[np.int64]:
        rounded = (self.sums() + (1 << (self.shift - 1))) >> self.shift
        return np.clip(rounded, -128, 127)


def cases() -> Iterator[Case]:
    generator = np.random.default_rng(5)
    shape, weights = (1, CHANNELS, SIDE, SIDE), (OUTPUTS, CHANNELS, SIZE, SIZE)
    signs = generator.integers(0, 2, weights) * 2 - 1
    yield Case("trap", np.full(shape, 255), 127 * signs, 15)
    values = generator.integers(0, 256, shape)
    yield Case("random", values, generator.integers(-127, 128, weights), 14)
    yield Case("ties", generator.integers(0, 4, shape), generator.integers(-1, 2, weights), 1)


def probe_all(names: list[str]) -> list[dict[str, Any]]:
    """A row for each engine and each instruction set that it can be held to."""
    rows = []
    for name in names:
        variable, values = FORCED.get(name, ("", ()))
        for value in ("", *values):
            rows.append({"engine": name, "isa": value or "all", **_ask(name, variable, value)})
    return rows


def _ask(name: str, variable: str, value: str) -> dict[str, Any]:
    environment = dict(os.environ) | ({variable: value} if value else {})
    command = [sys.executable, "-m", "benchmarks.infer.probe", name]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _broken(f"no answer in {CHILD_SECONDS:g} s")
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return _broken(reason[0])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _broken(reason: str) -> dict[str, Any]:
    return {**{case.name: None for case in cases()}, "exact": None, "note": reason}


def probe(name: str) -> dict[str, Any]:
    """Wrong answers of each case; those off by one alone are `rounding`'s."""
    from benchmarks.infer.probed import PROBED

    found: dict[str, Any] = {}
    rounded = 0
    for case in cases():
        off = np.abs(PROBED[name](case) - case.expected())
        found[case.name] = int((off > 1).sum())
        rounded += int((off == 1).sum())
    wrong = sum(found.values())
    note = f"{rounded} answers rounded otherwise" if rounded else ""
    return {**found, "exact": not wrong and not rounded, "note": note}


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1])))
