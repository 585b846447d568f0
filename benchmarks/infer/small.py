"""A small convolutional net as a program, for benchmarks of devices."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivers.program import Program, Step
from drivers.selftest import spread


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
