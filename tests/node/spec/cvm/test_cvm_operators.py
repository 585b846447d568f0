"""Corners of operators where the official kernel is not what its name says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from node.spec.cvm import CvmLoadError, CvmRunError, load, run
from node.spec.cvm.execution import compute_heads
from node.spec.cvm.operators import OPERATORS
from node.spec.cvm.operators.reshaping import infer_reshape
from node.spec.cvm.writer import ModelWriter


def compute(operator, arrays, precisions, head_index=0, **attributes):
    writer = ModelWriter()
    entries = [writer.add_input(arrays[0].shape, precisions[0])]
    for index, array in enumerate(arrays[1:], 1):
        entries.append(writer.add_parameter(f"p{index}", array, precisions[index]))
    graph = load(*writer.finish([writer.add(operator, "op", entries, **attributes)]))
    return compute_heads(graph, np.asarray(arrays[0], np.int32))[0]


def ints(*values):
    return np.array(values, np.int32)


def test_there_are_37_operators():
    assert len(OPERATORS) == 37


@pytest.mark.parametrize(
    ("value", "precision", "bits", "expected"),
    [
        (-5, 8, 1, -2),
        (5, 8, 1, 3),
        (2**31 - 1, 32, 31, 0),
        (-1, 8, 32, -1),
        (2**31 - 1, 8, 24, 128),  # no clip where precision and shift reach 32
        (2**31 - 1, 32, 1, -(2**30)),  # the addition wraps
        (2**31 - 1, 8, 23, 127),
        (-(2**31) + 1, 1, 4, 0),
    ],
)
def test_right_shift(value, precision, bits, expected):
    (found,) = compute("cvm_right_shift", [ints(value)], [32], precision=precision, shift_bit=bits)
    assert found == expected


def test_left_shift_never_runs():
    with pytest.raises(CvmRunError) as error:
        compute("cvm_left_shift", [ints(1)], [8], precision=16, shift_bit=1)
    assert not error.value.logic


def test_where_by_rows_copies_bytes_instead_of_words():
    first = np.arange(1, 13, dtype=np.int32).reshape(2, 6) + 0x01010100
    found = compute("where", [ints(1, 0), first, -first], [30, 30, 30])
    words = np.concatenate([first[0], -first[1]]).astype("<i4").reshape(2, 6)
    expected = np.zeros((2, 24), np.uint8)
    expected[:, :6] = words.view(np.uint8)[:, :6]
    assert (found.astype("<i4").view(np.uint8) == expected).all()


def test_sum_takes_the_stride_of_a_length_one_axis():
    values = np.arange(24, dtype=np.int32).reshape(2, 3, 1, 4)
    found = compute("sum", [values], [8], axis="(1, 3)")
    flat = values.reshape(-1)
    offsets = [4 * i + j for i in range(3) for j in range(4)]
    assert found.tolist() == [[flat[offsets].sum()], [sum(flat[4 + o] for o in offsets)]]
    assert (compute("sum", [values], [8], axis="(0)") == values.sum(axis=0)).all()


def test_max_over_everything_starts_at_zero():
    assert compute("max", [ints(-5, -3)], [8]).tolist() == [0]
    assert compute("max", [ints(-5, -3)], [8], axis="(0)").tolist() == [-3]


def test_division_truncates_and_by_zero_is_zero():
    found = compute("broadcast_div", [ints(-7, 7, -7, 5), ints(2, -2, -2, 0)], [8, 8])
    assert found.tolist() == [-3, -3, 3, 0]


def test_grouped_convolution_is_the_sum_of_its_groups():
    generator = np.random.default_rng(1)
    data = generator.integers(-127, 128, (2, 4, 5, 5)).astype(np.int32)
    weight = generator.integers(-127, 128, (6, 2, 3, 3)).astype(np.int32)
    form = {"kernel_size": "(3,3)", "padding": "(1,1)", "use_bias": False}
    whole = compute("conv2d", [data, weight], [8, 8], channels=6, groups=2, **form)
    halves = [
        compute("conv2d", [data[:, 2 * g : 2 * g + 2], weight[3 * g : 3 * g + 3]], [8, 8],
                channels=3, **form)
        for g in range(2)
    ]  # fmt: skip
    assert (whole == np.concatenate(halves, axis=1)).all()


def test_suppression_stops_at_a_batch_without_rows():
    rows = np.ones((2, 1, 6), np.int32)
    found = compute("non_max_suppression", [rows, ints(0, 1)], [8, 8])
    assert (found[0] == -1).all() and (found[1] == 0).all()


@pytest.mark.parametrize(
    ("target", "expected"),
    [((4, -1), (4, 6)), ((0, -3), (2, 12)), ((-4, -1, 2, -2), (1, 2, 3, 4)), ((-2,), (2, 3, 4))],
)
def test_reshape(target, expected):
    assert infer_reshape(target, (2, 3, 4)) == expected


@pytest.mark.parametrize(
    "target", [(), (5, -1), (-1, -1), (-4, 2), (-4, 0, 2), (-3, -3), (0, 0, 0, 0), (-4, -1, -1)]
)
def test_reshape_refuses(target):
    with pytest.raises(CvmLoadError, match="reshape"):
        infer_reshape(target, (2, 3, 4))


def test_shared_storage_overwrites():
    """The reference keeps to the model's memory plan, however odd."""
    writer = ModelWriter()
    data = writer.add_input((3,), 8)
    total = writer.add("relu", "r", [data])
    symbol, parameters = writer.finish([data, total])
    plan = json.loads(symbol)
    plan["attrs"]["storage_id"][1] = [0, 0]
    answer = run(load(json.dumps(plan).encode(), parameters), bytes([0xFF, 5, 0xFE]))
    assert answer == bytes([0, 5, 0] * 2)
