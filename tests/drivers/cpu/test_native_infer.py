"""Native integer operators: vectors of the official runtime, random nets, malformed programs."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_program as reference
from numpy.typing import NDArray

from drivers.cpu.infer import InferRuns
from drivers.cpu.loaded_program import LoadedProgram, flatten, parameter_words
from drivers.errors import BadArgument, NotSupported, OutOfMemory
from drivers.program import Attribute, Program, Step
from drivers.selftest import INFER_ANSWER, infer_program, spread

MEMORY = 1 << 27
NOT_HERE = {"cvm_left_shift"}


def run_one(
    op: str,
    inputs: list[NDArray[Any]],
    output: tuple[int, ...],
    attributes: Mapping[str, Attribute] | None = None,
) -> list[int]:
    """Run a single operator of one output; the first input is the program's."""
    return run_outputs(op, inputs, [output], 0, attributes or {})


def run_outputs(
    op: str,
    inputs: list[NDArray[Any]],
    outputs: list[tuple[int, ...]],
    wanted: int,
    attributes: Mapping[str, Attribute],
) -> list[int]:
    program = one_step(op, inputs, outputs, attributes, wanted)
    loaded = LoadedProgram(program, MEMORY)
    answer = loaded.run(inputs[0].astype("<i4").tobytes())
    loaded.close()
    found: list[int] = np.frombuffer(answer, dtype="<i4").tolist()
    return found


def one_step(
    op: str,
    inputs: list[NDArray[Any]],
    outputs: list[tuple[int, ...]],
    attributes: Mapping[str, Attribute],
    wanted: int = 0,
    precision: int = 32,
) -> Program:
    """A program whose first input has this precision; the others are parameters."""
    last = len(inputs)
    numbers = tuple(range(last, last + len(outputs)))
    return Program(
        shapes=(*(tuple(x.shape) for x in inputs), *outputs),
        precisions=(precision,) + (32,) * (last + len(outputs) - 1),
        parameters={i: inputs[i].astype(np.int32) for i in range(1, last)},
        steps=(Step(op, tuple(range(last)), numbers, attributes),),
        heads=(numbers[wanted],),
    )


def attributes_of(case: Mapping[str, str]) -> dict[str, Attribute]:
    """Numbers and tuples of an official attribute dictionary; names are the caller's."""
    found: dict[str, Attribute] = {}
    for name, text in case.items():
        try:
            value = ast.literal_eval(text)
        except ValueError:
            continue  # a name such as NCHW
        found[name] = value if isinstance(value, tuple) else int(value)
    return found


def test_operators_agree_with_official_runtime(vector_folder: Path) -> None:
    cases = json.loads((vector_folder / "cvm_ops.json").read_text())["cases"]
    count = 0
    for case in cases:
        if case.get("error") or case["op"] in NOT_HERE:
            continue
        inputs = [np.array(x["data"]).reshape(x["shape"]) for x in case["inputs"]]
        shapes = [tuple(shape) for shape in case["output_shapes"]]
        attributes = attributes_of(case["attrs"])
        found = run_outputs(case["op"], inputs, shapes, case["output_index"], attributes)
        assert found == case["output"], case
        count += 1
    assert count >= 120


@pytest.mark.parametrize("seed", range(25))
def test_conv2d_agrees_with_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = int(random.choice([1, 1, 2, 3]))
    channels, outputs = groups * random.integers(1, 4), groups * random.integers(1, 4)
    kernel = tuple(random.integers(1, 4, 2).tolist())
    attributes: dict[str, tuple[int, ...]] = {
        "padding": tuple(random.integers(0, 3, 2).tolist()),
        "strides": tuple(random.integers(1, 4, 2).tolist()),
        "dilation": tuple(random.integers(1, 3, 2).tolist()),
    }
    x = random.integers(-127, 128, (2, channels, *random.integers(6, 12, 2)))
    w = random.integers(-127, 128, (outputs, channels // groups, *kernel))
    b = random.integers(-(2**15), 2**15, outputs)
    expected = reference.conv2d(x, w, b, groups=groups, **attributes)  # type: ignore[arg-type]
    found = run_one("conv2d", [x, w, b], expected.shape, {**attributes, "groups": groups})
    assert found == expected.ravel().tolist()


def test_self_test_answer_is_right() -> None:
    """The fixed answer that devices must give, computed here from the definitions."""
    program = infer_program()
    x = spread(program.input_shape, 251, 127).astype(np.int64)
    w, b, dense = (program.parameters[i].astype(np.int64) for i in (1, 2, 3))
    features = reference.right_shift(reference.conv2d(x, w, b, padding=(1, 1)), 8, 9)
    pooled = reference.max_pool2d(np.maximum(features, 0), (2, 2), (2, 2))
    assert tuple((pooled.reshape(1, -1) @ dense.T).ravel().tolist()) == INFER_ANSWER


def test_sums_wrap_modulo_2_to_the_32() -> None:
    x = np.full((1, 3), 2**30)
    assert run_one("dense", [x, np.full((1, 3), 2)], (1, 1)) == [-(2**31)]
    assert run_one("negative", [np.array([-(2**31)])], (1,)) == [-(2**31)]


def test_several_models_stay_apart() -> None:
    runs = InferRuns(MEMORY)
    program = infer_program()
    changed = replace(program, parameters={**program.parameters, 2: program.parameters[2] + 512})
    data = spread(program.input_shape, 251, 127).astype("<i4").tobytes()
    runs.load("a", program)
    runs.load("a", changed)
    runs.load("b", changed)
    first, second = runs.run("a", data), runs.run("b", data)
    assert np.frombuffer(first, "<i4").tolist() == list(INFER_ANSWER)
    assert first != second
    runs.unload("a")
    with pytest.raises(BadArgument, match="not loaded"):
        runs.run("a", data)
    with pytest.raises(BadArgument, match="must be 512 bytes"):
        runs.run("b", data[:-1])
    runs.close()


@pytest.mark.parametrize("op", sorted(NOT_HERE))
def test_missing_operator_is_named(op: str) -> None:
    with pytest.raises(NotSupported, match=op):
        run_one(op, [np.zeros((1, 2))], (1, 2))


IMAGE = (1, 1, 2, 2)
CLIP: dict[str, Attribute] = {"pre_shift": 0, "shift": 4, "low": 0, "high": 9}
MALFORMED: dict[str, tuple[str, list[tuple[int, ...]], tuple[int, ...], dict[str, Attribute]]] = {
    "output shape": ("relu", [(2, 3)], (3, 2), {}),
    "conv channels": ("conv2d", [(1, 3, 4, 4), (2, 2, 3, 3)], (1, 2, 2, 2), {}),
    "conv groups": ("conv2d", [(1, 4, 4, 4), (3, 2, 1, 1)], (1, 3, 4, 4), {"groups": 2}),
    "conv kernel": ("conv2d", [(1, 1, 2, 2), (1, 1, 3, 3)], (1, 1, 1, 1), {}),
    "conv stride": ("conv2d", [(1, 1, 4, 4), (1, 1, 1, 1)], (1, 1, 4, 4), {"strides": (0, 1)}),
    "conv padding": ("conv2d", [(1, 1, 4, 4), (1, 1, 1, 1)], (1, 1, 4, 4), {"padding": (-1, 0)}),
    "conv memory": (
        "conv2d",
        [(1, 32, 4, 4), (1, 32, 1, 1)],
        (1, 1, 3, 3),
        {"padding": (4096, 4096), "strides": (4096, 4096)},
    ),
    "conv bias": ("conv2d", [(1, 1, 4, 4), (2, 1, 1, 1), (3,)], (1, 2, 4, 4), {}),
    "dense sizes": ("dense", [(1, 3), (2, 4)], (1, 2), {}),
    "dense inputs": ("dense", [(1, 3)], (1, 3), {}),
    "pool dilation": ("max_pool2d", [(1, 1, 4, 4)], (1, 1, 2, 2), {"dilation": 2}),
    "pool size": ("max_pool2d", [(1, 1, 4, 4)], (1, 1, 2, 2), {}),
    "pool stride": (
        "max_pool2d",
        [(1, 1, 4, 4)],
        (1, 1, 4, 4),
        {"pool_size": 1, "strides": (0, 1)},
    ),
    "average padding": (
        "avg_pool2d",
        [(1, 1, 4, 4)],
        (1, 1, 2, 2),
        {"pool_size": 1, "padding": (-1, -1)},
    ),
    "pool of lines": ("max_pool2d", [(1, 4, 4)], (1, 2, 2), {"pool_size": 2, "strides": 2}),
    "shift": ("cvm_right_shift", [(2,)], (2,), {"precision": 8, "shift_bit": 0}),
    "shift of an image": ("cvm_right_shift", [IMAGE], IMAGE, {"precision": 8, "shift_bit": 0}),
    "precision of a shift": ("cvm_right_shift", [IMAGE], IMAGE, {"precision": 0, "shift_bit": 3}),
    "requantise shift": ("requantise", [IMAGE, (1,)], IMAGE, {**CLIP, "shift": -1}),
    "requantise first shift": ("requantise", [IMAGE, (1,)], IMAGE, {**CLIP, "pre_shift": -1}),
    "requantise clip": ("requantise", [IMAGE, (1,)], IMAGE, {**CLIP, "low": 10}),
    "requantise alone": ("requantise", [IMAGE], IMAGE, CLIP),
    "requantise nothing": ("requantise", [IMAGE, (1,)], IMAGE, {}),
    "scaled sum shift": (
        "scaled_add",
        [IMAGE, IMAGE],
        IMAGE,
        {**CLIP, "own": 1, "theirs": 1, "shift": -1},
    ),
    "scaled sum factor": ("scaled_add", [IMAGE, IMAGE], IMAGE, {**CLIP, "own": 1}),
    "scaled sum alone": ("scaled_add", [IMAGE], IMAGE, {**CLIP, "own": 1, "theirs": 1}),
    "table alone": ("table", [IMAGE], IMAGE, {}),
    "precision": ("cvm_clip", [(2,)], (2,), {"precision": 33}),
    "clip order": ("clip", [(2,)], (2,), {"a_min": 3, "a_max": 2}),
    "broadcast": ("broadcast_add", [(2, 3), (2, 2)], (2, 3), {}),
    "elementwise": ("elemwise_add", [(2, 3), (1,)], (2, 3), {}),
    "reshape": ("reshape", [(2, 3)], (7,), {}),
    "transpose twice": ("transpose", [(2, 3)], (2, 2), {"axes": (0, 0)}),
    "transpose axis": ("transpose", [(2, 3)], (2, 3), {"axes": (0, 2)}),
    "slice begin": ("strided_slice", [(4,)], (4,), {"begin": (2,), "stride": (1,)}),
    "slice stride": ("strided_slice", [(4,)], (1,), {"begin": (0,), "stride": (0,)}),
    "slice like": ("slice_like", [(2,), (3,)], (3,), {}),
    "concatenate": ("concatenate", [(2, 3), (3, 2)], (2, 5), {"axis": 1}),
    "concatenate axis": ("concatenate", [(2, 3), (2, 3)], (2, 6), {"axis": 4}),
    "repeat": ("repeat", [(4,)], (4,), {"repeats": 1 << 25, "axis": 0}),
    "tile": ("tile", [(4,)], (4,), {"reps": (1 << 24,)}),
    "upsampling": ("upsampling", [(4,)], (8,), {"scale": 2}),
    "take axis": ("take", [(4, 2), (3,)], (3, 2), {"axis": 3}),
    "valid counts": ("get_valid_counts", [(2, 5, 6)], (2, 5, 6), {}),
    "suppression rows": ("non_max_suppression", [(1, 5, 5), (1,)], (1, 5, 5), {}),
    "suppression counts": ("non_max_suppression", [(1, 5, 6), (2,)], (1, 5, 6), {}),
    "sum axis": ("sum", [(4, 2)], (4,), {"axis": (2,)}),
    "sum twice": ("sum", [(4, 2)], (4,), {"axis": (1, -1)}),
    "sum output": ("sum", [(4, 2)], (3,), {"axis": (1,)}),
}


def load_as_it_is(program: Program, memory_limit_bytes: int = MEMORY) -> None:
    LoadedProgram(program, memory_limit_bytes).close()


def load_fused(program: Program, memory_limit_bytes: int = MEMORY) -> None:
    runs = InferRuns(memory_limit_bytes, 1)
    try:
        runs.load("m", program)
    finally:
        runs.close()


LOADERS = pytest.mark.parametrize("load", [load_as_it_is, load_fused])


@LOADERS
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_operators_are_refused(name: str, load: Callable[[Program], None]) -> None:
    op, inputs, output, attributes = MALFORMED[name]
    drawn = [np.ones(shape) for shape in inputs]
    with pytest.raises(BadArgument):
        load(one_step(op, drawn, [output], attributes, precision=8))


def relu_program(**changes: Any) -> Program:
    program = Program(((4,), (4,)), (8, 8), {}, (Step("relu", (0,), (1,), {}),), (1,))
    return replace(program, **changes)


@LOADERS
@pytest.mark.parametrize(
    "program",
    [
        relu_program(shapes=((0,), (4,))),
        relu_program(shapes=((1 << 25,), (4,))),
        relu_program(shapes=((1,) * 7, (4,))),
        relu_program(shapes=((4,), (5,))),
        relu_program(precisions=(33, 8)),
        relu_program(steps=(Step("relu", (2,), (1,), {}),)),
        relu_program(steps=(Step("relu", (1,), (1,), {}),)),
        relu_program(steps=(Step("relu", (0,), (0,), {}),)),
        relu_program(steps=(Step("relu", (-1,), (1,), {}),)),
        relu_program(steps=()),
        relu_program(heads=(2,)),
        relu_program(heads=()),
        relu_program(parameters={0: np.zeros(4, np.int32)}),
        relu_program(parameters={1: np.zeros(3, np.int32)}),
    ],
)
def test_malformed_programs_are_refused(program: Program, load: Callable[[Program], None]) -> None:
    with pytest.raises(BadArgument):
        load(program)


def test_a_value_without_a_precision_is_refused() -> None:
    with pytest.raises(BadArgument):
        load_fused(relu_program(precisions=(8,)))


def test_a_parameter_that_lies_otherwise_is_refused() -> None:
    """By its own shape one would take its elements for channels that they are not."""
    program = one_step("elemwise_add", [np.ones(IMAGE), np.ones(IMAGE)], [IMAGE], {}, precision=8)
    load_fused(program)
    with pytest.raises(BadArgument, match="parameter 1 does not have shape"):
        load_fused(replace(program, parameters={1: np.ones((1, 4), np.int32)}))


def test_memory_limit_holds() -> None:
    with pytest.raises(OutOfMemory, match="more memory"):
        LoadedProgram(relu_program(), 31)


@LOADERS
@pytest.mark.parametrize(
    ("op", "inputs", "output", "attributes"),
    [
        ("conv2d", [(1, 1, 4, 4), (1, 1, 1, 1)], (1, 1, 3, 3),
         {"padding": (1000, 1000), "strides": (1000, 1000)}),
        ("resize", [(1, 1, 1, 3 << 18)], (1, 1, 1, 1 << 18), {"linear": 1}),
    ],
)  # fmt: skip
def test_memory_limit_holds_for_what_steps_copy(
    op: str,
    inputs: list[tuple[int, ...]],
    output: tuple[int, ...],
    attributes: dict[str, Attribute],
    load: Callable[[Program, int], None],
) -> None:
    """The padded input, and rows as they are stretched; the input is of more than 8 bits."""
    program = one_step(op, [np.ones(shape) for shape in inputs], [output], attributes, precision=12)
    load(program, 1 << 25)
    with pytest.raises(OutOfMemory, match="more memory"):
        load(program, 3 << 22)


def test_cut_text_never_crashes() -> None:
    """Every prefix of a program's flat form is refused, none is fatal."""
    program = infer_program()
    text, parameters = flatten(program), parameter_words(program)
    for length in range(0, len(text) - 2, 7):
        with pytest.raises(BadArgument):
            LoadedProgram.of_text(text[:length].encode(), parameters, MEMORY)
