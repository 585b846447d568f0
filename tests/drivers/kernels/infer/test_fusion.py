"""Fused plans give the reference's heads, within the bounds that were proved of them."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from drivers.cpu.loaded_program import LoadedProgram
from drivers.errors import NotSupported
from drivers.kernels.infer.averages import divide_half_up
from drivers.kernels.infer.bounds import prove
from drivers.kernels.infer.fusion import fuse
from drivers.kernels.infer.intervals import Interval
from drivers.kernels.infer.layers import Convolution, Form, General, Plan, Pool, PoolKind
from drivers.kernels.infer.oracle import run_plan
from drivers.kernels.infer.primitives import apply_chain
from drivers.program import Program, Step
from drivers.selftest import infer_program, spread
from node.lowering import lower
from node.spec.cvm import load
from tests.support.cvm_models import random_model
from tests.support.plans import compare, native_steps, random_net
from tests.support.programs import RandomNet

EXTREMES = np.array([-127, 127], np.int8)


def kinds_of(plan: Plan) -> Counter[str]:
    return Counter(type(layer).__name__ for layer in plan.layers)


def test_models_of_the_vectors(vector_folder):
    for model in json.loads((vector_folder / "cvm_models.json").read_text())["cases"]:
        graph = load(model["symbol"].encode(), bytes.fromhex(model["params_hex"]))
        for case in model["cases"]:
            compare(graph, bytes.fromhex(case["kernel_input_hex"]))


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_nets_fuse_whole(first):
    for seed in range(first, first + 20):
        generator = np.random.default_rng(seed)
        graph = load(*random_net(generator))
        plan = compare(graph, generator.choice(EXTREMES, graph.input_bytes).tobytes())
        assert not kinds_of(plan)["General"], f"seed {seed}"


def test_random_operators():
    compared = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        graph = load(*random_model(generator))
        try:
            lower(graph)
        except NotSupported:
            continue
        compare(graph, generator.integers(-128, 128, graph.input_bytes).astype(np.int8).tobytes())
        compared += 1
    assert compared > 30


def program_of(
    shapes: dict[str, tuple[int, ...]],
    parameters: dict[str, np.ndarray],
    steps: list[tuple[str, str, str, dict]],
    heads: str,
    precision: int = 8,
) -> Program:
    """A program of named values: input "x" first, then parameters, then results of steps."""
    names = ["x", *parameters, *(step[2] for step in steps)]
    numbers = {name: number for number, name in enumerate(names)}
    given = {**{name: array.shape for name, array in parameters.items()}, **shapes}
    return Program(
        shapes=tuple(given[name] for name in names),
        precisions=(precision,) + (32,) * (len(names) - 1),
        parameters={numbers[name]: array.astype(np.int32) for name, array in parameters.items()},
        steps=tuple(
            Step(op, tuple(numbers[n] for n in inputs.split()), (numbers[output],), attributes)
            for op, inputs, output, attributes in steps
        ),
        heads=tuple(numbers[name] for name in heads.split()),
    )


SHIFT = {"precision": 8, "shift_bit": 9}
IMAGE = (1, 4, 5, 5)


def residual_block(tail: list[tuple[str, str, str, dict]], heads: str) -> Program:
    names = ("a", "b", "c", "d", "e", "f", "g")
    return program_of(
        {"x": IMAGE, **dict.fromkeys(names, IMAGE)},
        {"w": spread((4, 4, 1, 1), 251, 125), "v": spread((4, 4, 1, 1), 241, 120)},
        [
            ("conv2d", "x w", "a", {}),
            ("cvm_right_shift", "a", "b", SHIFT),
            ("conv2d", "b v", "c", {}),
            ("cvm_right_shift", "c", "d", SHIFT),
            *tail,
        ],
        heads,
    )


def test_a_residual_ends_in_the_convolution():
    tail = [
        ("elemwise_add", "d b", "e", {}),
        ("cvm_clip", "e", "f", {"precision": 8}),
        ("relu", "f", "g", {}),
    ]
    plan = fuse(residual_block(tail, "g"))
    first, second = (layer for layer in plan.layers if isinstance(layer, Convolution))
    assert first.residual is None
    assert second.residual is not None and second.residual.other == first.target
    assert (second.residual.low, second.residual.high) == (0, 127)
    assert kinds_of(plan) == {"Convert": 2, "Convolution": 2}


def test_a_value_of_two_readers_is_stored_once():
    tail = [("relu", "d", "e", {}), ("negative", "d", "f", {}), ("elemwise_add", "e f", "g", {})]
    plan = fuse(residual_block(tail, "g"))
    assert kinds_of(plan)["Convolution"] == 2
    assert not kinds_of(plan)["General"]


def test_sums_of_two_readers_are_computed_once():
    tail = [
        ("cvm_right_shift", "c", "e", {"precision": 8, "shift_bit": 5}),
        ("elemwise_add", "d e", "f", {}),
    ]
    plan = fuse(residual_block(tail, "f"))
    assert kinds_of(plan)["Convolution"] == 2


def test_a_window_over_ones_is_an_average():
    program = program_of(
        {"x": IMAGE, "a": (1, 4, 3, 3), "b": (1, 4, 3, 3)},
        {"w": np.ones((4, 1, 3, 3))},
        [
            ("conv2d", "x w", "a", {"groups": 4}),
            ("cvm_right_shift", "a", "b", {"precision": 8, "shift_bit": 3}),
        ],
        "b",
    )
    (pool,) = (layer for layer in fuse(program).layers if isinstance(layer, Pool))
    assert pool.kind is PoolKind.SUM and pool.rescale is not None


def test_a_dense_layer_reads_the_image_as_it_lies():
    plan = fuse(infer_program())
    assert kinds_of(plan) == {"Convert": 1, "Convolution": 2, "Pool": 1}
    dense = plan.layers[-1]
    assert isinstance(dense, Convolution) and dense.window.size == (4, 4)
    assert plan.tensors[dense.target].form is Form.WORDS


def test_what_no_layer_covers_is_a_general_step():
    plan = fuse(residual_block([("transpose", "d", "e", {"axes": (0, 1, 3, 2)})], "e"))
    (general,) = (layer for layer in plan.layers if isinstance(layer, General))
    assert general.step.op == "transpose"


def test_a_sum_that_may_overflow_is_refused():
    weight = np.full((1, 1 << 18), 127)
    program = program_of(
        {"x": (1, 1 << 18), "y": (1, 1)}, {"w": weight}, [("dense", "x w", "y", {})], "y"
    )
    with pytest.raises(NotSupported, match=r"step 0, dense: values from -4228.* 32 bits"):
        prove(program)


def test_real_weights_prove_what_their_precision_does_not():
    weight = np.zeros((1, 1 << 18))
    weight[0, :9] = 127
    program = program_of(
        {"x": (1, 1 << 18), "y": (1, 1)}, {"w": weight}, [("dense", "x w", "y", {})], "y"
    )
    bound = prove(program)[-1]
    assert (bound.lowest, bound.highest) == (-9 * 127 * 127, 9 * 127 * 127)


def test_long_chains_do_not_exhaust_the_stack():
    steps = [("negative", f"v{n}" if n else "x", f"v{n + 1}", {}) for n in range(3000)]
    shapes = {"x": (2, 3), **{f"v{n + 1}": (2, 3) for n in range(3000)}}
    plan = fuse(program_of(shapes, {}, steps, "v3000", precision=20))
    assert len(plan.layers) == 3000


@pytest.mark.parametrize("size", [2, 3, 7])
def test_an_average_pool_is_one_layer(size):
    shape = (1, 4, 6 - size, 6 - size) if size < 6 else (1, 4, 1, 1)
    program = program_of(
        {"x": IMAGE, "p": shape},
        {},
        [("avg_pool2d", "x", "p", {"pool_size": (size, size), "padding": (size // 6,) * 2})],
        "p",
    )
    plan = fuse(program)
    (pool,) = (layer for layer in plan.layers if isinstance(layer, Pool))
    assert pool.kind is PoolKind.SUM and kinds_of(plan)["General"] == 0


@pytest.mark.parametrize("count", range(1, 82))
def test_division_half_up_is_exact(count):
    sums = Interval.of(-128 * count, 255 * count)
    chain = divide_half_up(count, sums)
    assert chain is not None
    x = np.arange(sums.lowest, sums.highest + 1)
    assert (apply_chain(chain, x) == np.floor(x / count + 0.5)).all()


def test_a_clip_before_the_first_shift_of_a_requantisation():
    """A clip to fewer bits, then a shift, a multiplier a channel, a shift: one layer."""
    factors = np.array([20000, 15000, 32767, 9])
    program = program_of(
        {"x": IMAGE, "a": IMAGE, "b": IMAGE, "c": IMAGE},
        {"w": spread((4, 4, 3, 3), 255, 127), "m": factors},
        [
            ("conv2d", "x w", "a", {"padding": (1, 1)}),
            ("cvm_clip", "a", "b", {"precision": 17}),
            ("requantise", "b m", "c",
             {"axis": 1, "pre_shift": 2, "shift": 20, "low": 0, "high": 255}),
        ],
        "c",
    )  # fmt: skip
    assert kinds_of(fuse(program)) == {"Convert": 2, "Convolution": 1}


def test_random_nets_of_the_extension_form():
    for seed in range(40):
        random = np.random.default_rng(seed)
        program = RandomNet(random).build(6)
        data = random.choice(np.array([-127, 0, 127]), program.input_shape).astype(np.int32)
        expect_equal(program, data, f"seed {seed}")


def expect_equal(program: Program, data: np.ndarray, what: str = "") -> None:
    """The plan's heads are those of its steps, one after another."""
    plan = fuse(program)
    found = run_plan(plan, data, native_steps(plan))
    loaded = LoadedProgram(program, 1 << 28)
    expected = loaded.run(data.astype("<i4").tobytes())
    loaded.close()
    assert b"".join(head.astype("<i4").tobytes() for head in found) == expected, what


def test_sums_beyond_64_bits_are_refused():
    """Modulo 2^64 the bound of these would fit 32 bits."""
    count = 1 << 17
    shapes = {"x": (1, count), "y": (1, 1)}
    for weight in (np.full((1, count), 1 << 30), np.full((1, count), -(1 << 31))):
        program = program_of(shapes, {"w": weight}, [("dense", "x w", "y", {})], "y", 32)
        with pytest.raises(NotSupported, match="requantise before it"):
            prove(program)


def test_unknown_weights_beyond_64_bits_are_refused():
    shapes = dict.fromkeys("xay", (16, 16))
    clip = ("clip", "x", "a", {"a_min": 0, "a_max": 1 << 30})
    program = program_of(shapes, {}, [clip, ("dense", "a a", "y", {})], "y", 32)
    with pytest.raises(NotSupported, match="requantise before it"):
        prove(program)


def test_shifts_and_factors_whose_joint_passes_64_bits():
    """What stands for many steps need not fit what each of them fits."""
    data = spread(IMAGE, 251, 127).astype(np.int32)
    shapes = dict.fromkeys("xabcdef", IMAGE)
    shift = {"precision": 8, "shift_bit": 30}
    steps = [("cvm_right_shift", *pair, shift) for pair in ("xa", "ab", "bc", "cd")]
    expect_equal(program_of(shapes, {}, steps, "d"), data)
    nothing = ("cvm_clip", "x", "a", {"precision": 1})
    products = [("broadcast_mul", f"{a} k", b, {}) for a, b in ("ab", "bc", "cd", "de")]
    steps = [nothing, *products, ("elemwise_add", "e x", "f", {})]
    expect_equal(program_of(shapes, {"k": np.array([2**31 - 1])}, steps, "f"), data)
