"""Postprocessing and the forms of bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from node.spec.cvm import CvmRunError, load, run
from node.spec.cvm.words import to_contract_form, to_kernel_form
from node.spec.cvm.writer import ModelWriter


def identity(shape, precision=8, postprocess="", heads=1):
    writer = ModelWriter()
    positive = writer.add("abs", "a", [writer.add_input(shape, precision)])
    return load(*writer.finish([positive] * heads, postprocess))


def test_argmax_is_the_first_maximum_as_int8():
    graph = identity((1, 4), 16, "argmax")
    values = np.array([3, 7, 7, 200], "<i4")  # 200 is -56 as int8
    assert run(graph, values.tobytes()) == (1).to_bytes(4, "little")


def test_argmax_of_several_rows_leaves_rows_out():
    graph = identity((3, 2), 8, "argmax")
    answer = np.frombuffer(run(graph, bytes([0, 1, 0, 1, 0, 1])), "<i4")
    assert answer.tolist() == [1, 1, 0]


def test_heads_stand_side_by_side():
    graph = identity((2, 2), heads=2)
    assert run(graph, bytes([1, 2, 3, 4])) == bytes([1, 2, 1, 2, 3, 4, 3, 4])


def test_detection_of_one_head_cannot_be_joined():
    graph = identity((2, 6), 8, "detection")
    assert graph.output_bytes == 2 * 6 * 4
    with pytest.raises(CvmRunError, match="joined"):
        run(graph, bytes(12))


def test_four_byte_words_are_turned_and_inputs_cut():
    graph = identity((1, 2), 16)
    contract = bytes.fromhex("00000102fffffffe99")
    assert run(graph, to_kernel_form(graph, contract)) == np.array([258, 2], "<i4").tobytes()
    assert to_contract_form(graph, np.array([1, -1], "<i4").tobytes()).hex() == "00000001ffffffff"
    with pytest.raises(CvmRunError, match="needs 8"):
        to_kernel_form(graph, contract[:7])


def test_input_is_clamped():
    assert run(identity((1, 1)), b"\x80") == bytes([127])


def test_symbol_names_carry_a_number():
    writer = ModelWriter()
    symbol, parameters = writer.finish([writer.add("relu", "r", [writer.add_input((1, 1), 8)])])
    root = json.loads(symbol)
    root["nodes"][1]["attrs"]["func_name"] = "relu_12"
    assert run(load(json.dumps(root).encode(), parameters), b"\xff") == b"\0"
