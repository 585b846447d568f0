"""Random programs of one convolution or dense layer and what may come after it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from drivers.program import Program, Step


def random_layer(random: Generator) -> tuple[Program, bytes]:
    """A program, and an input for it."""
    bits = int(random.choice([6, 8]))
    program = _dense(random, bits) if random.random() < 0.2 else _conv2d(random, bits)
    bound = 2 ** (bits - 1) - 1
    data = random.integers(-bound, bound + 1, program.input_shape, dtype=np.int32)
    return program, data.astype("<i4").tobytes()


def _conv2d(random: Generator, bits: int) -> Program:
    groups = int(random.choice([1, 1, 1, 2, 5]))
    channels, filters = groups * int(random.integers(1, 9)), groups * int(random.integers(1, 22))
    kernel = random.integers(1, 4, 2).tolist()
    padding, strides, dilation = (
        random.integers(low, 3, 2).tolist() for low in (0, 1, 1)
    )  # fmt: skip
    size = [
        int(random.integers(d * (k - 1) + 1, 13))
        for k, d in zip(kernel, dilation, strict=True)
    ]  # fmt: skip
    images = int(random.integers(1, 3))
    output = [
        (s + 2 * p - d * (k - 1) - 1) // t + 1
        for s, k, p, d, t in zip(size, kernel, padding, dilation, strides, strict=True)
    ]
    attributes = {
        "padding": tuple(padding), "strides": tuple(strides), "dilation": tuple(dilation),
        "groups": groups,
    }  # fmt: skip
    return _program(
        random, "conv2d", (images, channels, *size),
        (filters, channels // groups, *kernel), (images, filters, *output), bits, attributes,
    )  # fmt: skip


def _dense(random: Generator, bits: int) -> Program:
    rows, k, units = int(random.integers(1, 4)), *random.integers(1, 300, 2).tolist()
    return _program(random, "dense", (rows, k), (units, k), (rows, units), bits, {"units": units})


def _program(
    random: Generator,
    op: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    y: tuple[int, ...],
    bits: int,
    attributes: dict[str, Any],
) -> Program:
    bound = 2 ** (int(random.choice([6, 8])) - 1)
    weights = random.integers(-bound, bound, w, dtype=np.int32)
    bias = random.integers(-(2**20), 2**20, w[0], dtype=np.int32)
    steps = [Step(op, (0, 1, 2), (3,), attributes)]
    steps += [
        Step(op, (3 + n,), (4 + n,), attributes) for n, (op, attributes) in enumerate(_tail(random))
    ]
    after = len(steps)
    return Program(
        (x, w, (w[0],), *(y,) * after),
        (bits, 8, 21, *(32,) * after),
        {1: weights, 2: bias},
        tuple(steps),
        (2 + after,),
    )


def _tail(random: Generator) -> list[tuple[str, dict[str, Any]]]:
    shift = {"precision": int(random.integers(1, 31)), "shift_bit": int(random.integers(1, 32))}
    tails: list[list[tuple[str, dict[str, Any]]]] = [
        [],
        [("relu", {})],
        [("cvm_clip", {"precision": 8})],
        [("cvm_right_shift", {"precision": 8, "shift_bit": int(random.integers(1, 16))})],
        [("cvm_right_shift", shift), ("relu", {})],
        [("relu", {}), ("cvm_right_shift", shift), ("clip", {"a_min": -3, "a_max": 90})],
        [("relu", {}), ("negative", {})],
    ]
    return tails[int(random.integers(len(tails)))]
