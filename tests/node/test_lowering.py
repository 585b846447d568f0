"""Programs on the CPU give the reference's bits, and what a program cannot say is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from drivers.cpu.infer import InferRuns
from drivers.errors import NotSupported, WrongAnswer
from farmctl.conformance import cvm_ops
from node.lowering import encode_heads, lower
from node.spec.cvm import load, run
from node.spec.cvm.execution import decode_input
from node.spec.cvm.writer import ModelWriter
from tests.support.cvm_models import random_model

MEMORY_BYTES = 1 << 28


def run_native(graph, data):
    session = InferRuns(MEMORY_BYTES)
    try:
        session.load("m", lower(graph))
        tensor = decode_input(graph, data).astype("<i4").tobytes()
        return encode_heads(graph, session.run("m", tensor))
    finally:
        session.close()


def test_models_of_the_vectors(vector_folder):
    models = json.loads((vector_folder / "cvm_models.json").read_text())["cases"]
    for model in models:
        graph = load(model["symbol"].encode(), bytes.fromhex(model["params_hex"]))
        for case in model["cases"]:
            answer = run_native(graph, bytes.fromhex(case["kernel_input_hex"]))
            assert answer.hex() == case["kernel_output_hex"], model["name"]


def test_operators_of_the_vectors(vector_folder):
    """Every operator that has a result, on the CPU; at most these need the reference."""
    refused = set()
    cases = json.loads((vector_folder / "cvm_ops.json").read_text())["cases"]
    for case in cases:
        if case.get("error"):
            continue
        graph = load(*cvm_ops.build_model(case))
        try:
            answer = run_native(graph, cvm_ops.encode_input(case, graph))
        except NotSupported:
            refused.add(case["op"])
            continue
        assert np.frombuffer(answer, graph.output_type).tolist() == case["output"], case["op"]
    assert refused <= {"get_valid_counts", "non_max_suppression"}


def test_random_models():
    """A few sum in a way that only the reference knows; all others must be equal."""
    compared = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        graph = load(*random_model(generator))
        try:
            lower(graph)
        except NotSupported:
            continue
        compared += 1
        for _ in range(3):
            data = generator.integers(0, 256, graph.input_bytes).astype(np.uint8).tobytes()
            assert run_native(graph, data) == run(graph, data), f"seed {seed}"
    assert compared > 50


def graph_of(operator, shapes, precisions, edit=lambda root: None, **attributes):
    writer = ModelWriter()
    entries = [writer.add_input(shapes[0], precisions[0])]
    for index, shape in enumerate(shapes[1:], 1):
        zeros = np.zeros(shape, np.int32)
        entries.append(writer.add_parameter(f"p{index}", zeros, precisions[index]))
    symbol, parameters = writer.finish([writer.add(operator, "op", entries, **attributes)])
    root = json.loads(symbol)
    edit(root)
    return load(json.dumps(root).encode(), parameters)


@pytest.mark.parametrize(
    ("operator", "shapes", "precisions", "attributes", "reason"),
    [
        ("where", [(2,), (2, 3), (2, 3)], [8, 8, 8], {}, "unwritten"),
        ("where", [(2,), (2,), (2,)], [2, 8, 8], {}, "precision"),
        ("cvm_left_shift", [(2,)], [8], {"precision": 16, "shift_bit": 1}, "never runs"),
        ("cvm_right_shift", [(2,)], [32], {"precision": 8, "shift_bit": 24}, "precision"),
        ("cvm_right_shift", [(2,)], [32], {"precision": 31, "shift_bit": 1}, "precision"),
        ("sum", [(2, 3, 1, 4)], [8], {"axis": "(1,3)"}, "other terms"),
        ("non_max_suppression", [(2, 3, 6), (2,)], [8, 8], {}, "several batches"),
        ("get_valid_counts", [(1, 3, 6)], [1], {"score_threshold": 0}, "an empty row"),
        ("non_max_suppression", [(1, 3, 6), (1,)], [1, 8], {}, "an empty row"),
    ],
)
def test_what_only_the_reference_can_run(operator, shapes, precisions, attributes, reason):
    with pytest.raises(NotSupported, match=reason):
        lower(graph_of(operator, shapes, precisions, **attributes))


def test_an_overwritten_value_is_refused():
    def share(root):
        root["attrs"]["storage_id"][1] = [0, 0]
        root["heads"].append([0, 0, 0])

    with pytest.raises(NotSupported, match="overwritten"):
        lower(graph_of("relu", [(3,)], [8], share))


def test_in_place_is_fine_where_nothing_is_lost():
    def share(root):
        root["attrs"]["storage_id"][1] = [0, 0]

    graph = graph_of("relu", [(3,)], [8], share)
    assert run_native(graph, bytes([255, 2, 3])) == bytes([0, 2, 3])


def test_a_device_answer_of_the_wrong_length():
    for length in (0, 1, 8, 16):
        with pytest.raises(WrongAnswer, match=f"answered {length} bytes"):
            encode_heads(graph_of("relu", [(3,)], [8]), bytes(length))
