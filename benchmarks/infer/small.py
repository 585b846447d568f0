"""Milliseconds an inference takes on the CPU, one thread: small convolutional nets.

Before anything is timed the device must give the known answer to the bit.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from drivers.base import Capability
from drivers.cpu.infer import InferRuns
from drivers.cpu.loaded_program import LoadedProgram
from drivers.program import Program, Step
from drivers.selftest import check, spread

MEMORY_LIMIT_BYTES = 1 << 30
#: name, image side, input channels, channels of the two convolutions
NETS = (("digits", 8, 1, 16, 32), ("small", 28, 1, 32, 64), ("medium", 64, 3, 64, 128))


def run(quick: bool) -> dict[str, Any]:
    runs = InferRuns(MEMORY_LIMIT_BYTES)
    known = check(runs, Capability.INFER)
    runs.close()
    return {"checked": known, "rows": [measure(*net, quick) for net in NETS]}


def measure(
    name: str, side: int, inputs: int, first: int, second: int, quick: bool
) -> dict[str, Any]:
    program, macs = convolutional_net(side, inputs, first, second)
    loaded = LoadedProgram(program, MEMORY_LIMIT_BYTES)
    data = spread(program.input_shape, 251, 127).astype("<i4").tobytes()
    loaded.run(data)
    seconds = []
    for _ in range(20 if quick else 200):
        started = time.process_time()
        loaded.run(data)
        seconds.append(time.process_time() - started)
    loaded.close()
    median = statistics.median(seconds)
    return {
        "net": name,
        "million_macs": macs / 1e6,
        "median_ms": median * 1e3,
        "least_ms": min(seconds) * 1e3,
        "gmacs_per_second": macs / median / 1e9,
    }


def convolutional_net(side: int, inputs: int, first: int, second: int) -> tuple[Program, int]:
    """Two 3×3 convolutions, each shifted, rectified and pooled, then a dense layer of 10.
    Also the multiply-accumulates of one run."""
    half, quarter = side // 2, side // 4
    flat = second * quarter * quarter
    parameters = {
        1: spread((first, inputs, 3, 3), 251, 125),
        2: spread((second, first, 3, 3), 251, 125),
        3: spread((10, flat), 251, 125),
    }
    shapes: list[tuple[int, ...]] = [(1, inputs, side, side)]
    shapes += [tuple(p.shape) for p in parameters.values()]
    steps: list[Step] = []

    def add(op: str, taken: tuple[int, ...], shape: tuple[int, ...], **attributes: Any) -> int:
        steps.append(Step(op, taken, (len(shapes),), attributes))
        shapes.append(shape)
        return len(shapes) - 1

    value = 0
    for weight, channels, size in ((1, first, side), (2, second, half)):
        feature = (1, channels, size, size)
        value = add("conv2d", (value, weight), feature, padding=(1, 1))
        value = add("cvm_right_shift", (value,), feature, precision=8, shift_bit=10)
        value = add("relu", (value,), feature)
        pooled = (1, channels, size // 2, size // 2)
        value = add("max_pool2d", (value,), pooled, pool_size=(2, 2), strides=(2, 2))
    value = add("flatten", (value,), (1, flat))
    head = add("dense", (value, 3), (1, 10))
    macs = side * side * first * inputs * 9 + half * half * second * first * 9 + flat * 10
    program = Program(
        tuple(shapes),
        (8,) + (32,) * (len(shapes) - 1),
        {n: np.asarray(p, dtype=np.int32) for n, p in parameters.items()},
        tuple(steps),
        (head,),
    )
    return program, macs
