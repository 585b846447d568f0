"""Small CVM models for tests: a fixed one, and random ones."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from node.spec.cvm.writer import Entry, ModelWriter


def small_model() -> tuple[bytes, bytes]:
    """Symbol and parameters of dense(2 of 3) and a shift."""
    writer = ModelWriter()
    data = writer.add_input((1, 3), 8)
    weight = writer.add_parameter("w", np.array([[1, 2, 3], [-4, 5, -6]], np.int32), 8)
    total = writer.add("dense", "fc", [data, weight], units=2, use_bias=False)
    return writer.finish([writer.add("cvm_right_shift", "s", [total], precision=8, shift_bit=2)])


def random_model(generator: Generator) -> tuple[bytes, bytes]:
    """A chain of random operators over a 4-D input, each applied where it fits."""
    writer = ModelWriter()
    shape = tuple(int(n) for n in generator.integers(1, 6, 4))
    entry = writer.add_input(shape, 8)
    side = entry
    for index in range(int(generator.integers(1, 8))):
        step = _STEPS[int(generator.integers(len(_STEPS)))]
        before, entry = entry, step(writer, f"n{index}", entry, generator)
        side = before if before.shape == entry.shape and generator.random() < 0.3 else side
    if side.shape == entry.shape and max(side.precision, entry.precision) < 32:
        entry = writer.add("elemwise_add", "join", [entry, side])
    return writer.finish([entry])


def _eight(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    bits = int(generator.integers(1, 12))
    if entry.precision <= 8:
        return entry
    return writer.add("cvm_right_shift", f"{name}r", [entry], precision=8, shift_bit=bits)


def _convolve(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    if len(entry.shape) != 4:
        return entry
    entry = _eight(writer, name, entry, generator)
    groups = entry.shape[1] if generator.random() < 0.3 else 1
    channels = groups * int(generator.integers(1, 4))
    kernel = tuple(int(generator.integers(1, min(size, 3) + 1)) for size in entry.shape[2:])
    values = generator.integers(-127, 128, (channels, entry.shape[1] // groups, *kernel))
    weight = writer.add_parameter(f"{name}w", values.astype(np.int32), 8)
    bias = writer.add_parameter(f"{name}b", values.reshape(channels, -1)[:, 0] * 50, 14)
    return writer.add(
        "conv2d", name, [entry, weight, bias], channels=channels, kernel_size=kernel,
        padding=(1, 0), strides=(int(generator.integers(1, 3)), 1), groups=groups,
    )  # fmt: skip


def _densify(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    entry = writer.add("flatten", f"{name}f", [_eight(writer, name, entry, generator)])
    values = generator.integers(-127, 128, (3, entry.shape[1])).astype(np.int32)
    weight = writer.add_parameter(f"{name}w", values, 8)
    return writer.add("dense", name, [entry, weight], units=3, use_bias=False)


def _pool(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    if len(entry.shape) != 4:
        return entry
    size = tuple(int(generator.integers(1, min(n, 3) + 1)) for n in entry.shape[2:])
    return writer.add("max_pool2d", name, [entry], pool_size=size, strides=(1, 2))


def _multiply(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    if entry.precision > 24:
        return entry
    values = generator.integers(-127, 128, entry.shape[-1:]).astype(np.int32)
    return writer.add("broadcast_mul", name, [entry, writer.add_parameter(f"{name}p", values, 8)])


def _reduce(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    if entry.precision > 20:
        return entry
    axis = int(generator.integers(len(entry.shape)))
    operator = "sum" if generator.random() < 0.5 else "max"
    return writer.add(operator, name, [entry], axis=f"({axis})", keepdims=True)


def _turn(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    axes = tuple(int(axis) for axis in generator.permutation(len(entry.shape)))
    return writer.add("transpose", name, [entry], axes=f"({','.join(map(str, axes))})")


def _plain(operator: str):
    def step(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
        return writer.add(operator, name, [entry])

    return step


def _clip(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    return writer.add("clip", name, [entry], a_min=-100, a_max=int(generator.integers(0, 126)))


def _repeat(writer: ModelWriter, name: str, entry: Entry, generator: Generator) -> Entry:
    return writer.add("repeat", name, [entry], repeats=2, axis=-1) if entry.size < 500 else entry


_STEPS = [
    *(_convolve, _densify, _pool, _multiply, _reduce, _turn, _clip, _repeat, _eight),
    *map(_plain, ("relu", "abs", "negative", "flatten")),
]
