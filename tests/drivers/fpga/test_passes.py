"""How layers are cut: every pass fits the buffers, and together they are the layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.fpga.layers import Layer
from drivers.fpga.memory_layout import ROWS, encode_numbers, encode_weights
from drivers.fpga.partition import partition
from drivers.fpga.passes import Buffers, Pass, Plan, plan_layer
from drivers.fpga.session import FpgaRuns
from drivers.host_program import HostProgram
from drivers.program import Program, Step
from tests.support.cvm_layers import random_layer

LIMIT = 1 << 28
#: Those of the core; test_core.py holds its description to it.
BUFFERS = Buffers(131_072, 8192)


def work_out(plan: Plan, planes: NDArray[np.int8], one: Pass) -> NDArray[np.int32]:
    """What the core computes in a pass, from its own inputs: (filters, positions)."""
    count = plan.position_tiles(one.rows) * ROWS
    given = plan.features(planes, one)
    features = np.zeros(given.size + count + int(plan.offsets(one).max()), np.int64)
    features[: given.size] = given
    windows = features[plan.offsets(one)[:, None] + np.arange(count)[None, :]]
    return (plan.weights(one).astype(np.int64) @ windows).astype(np.int32)


@pytest.mark.parametrize("seed", range(60))
def test_passes_make_the_layer(seed: int) -> None:
    random = np.random.default_rng(seed)
    program, data = random_layer(random)
    bare = replace(program, steps=program.steps[:1], heads=(3,))
    (layer,) = partition(bare)
    assert isinstance(layer, Layer)
    buffers = Buffers(int(random.integers(64, 3000)), int(random.integers(9, 300)))
    plan = plan_layer(layer, buffers)
    if plan is None:
        assert buffers.feature_bytes < 1500, "a row of one channel is no larger"
        return
    g = layer.geometry
    value = np.frombuffer(data, "<i4").reshape(program.input_shape)
    planes = layer.to_planes(value).astype(np.int8)
    sums = np.zeros((g.images, g.filters, g.output.rows, g.output.columns), np.int32)
    for one in plan.passes:
        assert plan.features(planes, one).size <= buffers.feature_bytes
        assert plan.weights(one).shape[1] == plan.offsets(one).size <= buffers.steps
        plan.place(sums, work_out(plan, planes, one), one)
    sums += layer.bias[None, :, None, None]
    expected = np.frombuffer(HostProgram(bare, LIMIT).run(data), "<i4")
    assert np.array_equal(layer.from_planes(sums).ravel(), expected)


def wide_program(op: str, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...]) -> Program:
    random = np.random.default_rng(7)
    weights = random.integers(-127, 128, w, dtype=np.int32)
    bias = random.integers(-(2**20), 2**20, w[0], dtype=np.int32)
    shift = Step("cvm_right_shift", (3,), (4,), {"precision": 8, "shift_bit": 10})
    steps = (Step(op, (0, 1, 2), (3,), {}), shift)
    return Program((x, w, (w[0],), y, y), (8, 8, 21, 32, 8), {1: weights, 2: bias}, steps, (4,))


@pytest.mark.parametrize(
    ("program", "passes", "is_split"),
    [
        (wide_program("dense", (1, 20_000), (20, 20_000), (1, 20)), 3, True),
        (wide_program("conv2d", (1, 64, 56, 60), (5, 64, 1, 1), (1, 5, 56, 60)), 2, False),
        (wide_program("conv2d", (1, 600, 20, 20), (3, 600, 3, 3), (1, 3, 18, 18)), 3, False),
        (wide_program("conv2d", (1, 1000, 6, 6), (3, 1000, 3, 3), (1, 3, 4, 4)), 2, True),
    ],
)
def test_layers_beyond_the_buffers(
    runs: FpgaRuns, program: Program, passes: int, is_split: bool
) -> None:
    (layer,) = partition(program)
    assert isinstance(layer, Layer)
    plan = plan_layer(layer, BUFFERS)
    assert plan and (len(plan.passes), plan.is_split) == (passes, is_split)
    x = np.random.default_rng(8).integers(-127, 128, program.input_shape)
    data = x.astype("<i4").tobytes()
    runs.load("wide", program)
    assert runs.run("wide", data) == HostProgram(program, LIMIT).run(data)
    runs.unload("wide")


def test_six_bits_are_packed_lowest_first() -> None:
    values = np.array([1, -1, 31, -32] + [0] * 12, np.int8)
    word = 1 | 63 << 6 | 31 << 12 | 32 << 18
    assert encode_numbers(values, packs_six=True) == word.to_bytes(3, "little") + bytes(9)
    assert encode_numbers(values, packs_six=False) == values.tobytes()


def test_weights_lie_tile_by_tile() -> None:
    weights = np.arange(17 * 3, dtype=np.int8).reshape(17, 3)
    encoded, size = encode_weights(weights, np.arange(17, dtype=np.int32), packs_six=False)
    assert size == 128 and len(encoded) == 256
    assert np.frombuffer(encoded[:64], "<i4").tolist() == list(range(16))
    assert list(encoded[64:80]) == list(range(0, 48, 3)), "the first step of sixteen filters"
    assert np.frombuffer(encoded[128:132], "<i4").tolist() == [16]
    assert encoded[192] == 48


def test_uneven_padding_is_left_to_the_host() -> None:
    program = wide_program("conv2d", (1, 4, 6, 6), (3, 4, 3, 3), (1, 3, 5, 5))
    uneven = replace(program.steps[0], attributes={"padding": (0, 0, 1, 1)})
    (stage,) = partition(replace(program, steps=(uneven,)))
    assert stage == (uneven,)
