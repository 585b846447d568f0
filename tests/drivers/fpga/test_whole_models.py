"""Whole CVM models on the simulated core: equal to the reference, to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivers.errors import NotSupported
from drivers.fpga.layers import Layer
from drivers.fpga.partition import partition
from drivers.fpga.session import FpgaRuns
from farmctl.conformance import cvm_ops
from node.lowering import encode_heads, lower
from node.mrt.conversion import Settings, convert
from node.mrt.evaluation import quantise_input
from node.spec.cvm import Graph, load, run
from node.spec.cvm.execution import decode_input
from tests.support.cvm_models import random_model
from tests.support.digits import train_digits


def run_on_core(runs: FpgaRuns, graph: Graph, *inputs: bytes) -> list[bytes]:
    """The kernel-form answers to kernel-form inputs."""
    runs.load("model", lower(graph))
    try:
        tensors = [decode_input(graph, data).astype("<i4").tobytes() for data in inputs]
        return [encode_heads(graph, runs.run("model", tensor)) for tensor in tensors]
    finally:
        runs.unload("model")


def test_models_of_the_vectors(runs: FpgaRuns, vector_folder: Path) -> None:
    models = json.loads((vector_folder / "cvm_models.json").read_text())["cases"]
    for model in models:
        graph = load(model["symbol"].encode(), bytes.fromhex(model["params_hex"]))
        given = [bytes.fromhex(case["kernel_input_hex"]) for case in model["cases"]]
        expected = [bytes.fromhex(case["kernel_output_hex"]) for case in model["cases"]]
        assert run_on_core(runs, graph, *given) == expected, model["name"]


def test_layers_of_the_vectors(runs: FpgaRuns, vector_folder: Path) -> None:
    cases = json.loads((vector_folder / "cvm_ops.json").read_text())["cases"]
    on_core = 0
    for case in cases:
        if case["op"] not in ("conv2d", "dense") or case.get("error"):
            continue
        graph = load(*cvm_ops.build_model(case))
        (answer,) = run_on_core(runs, graph, cvm_ops.encode_input(case, graph))
        assert np.frombuffer(answer, graph.output_type).tolist() == case["output"], case
        on_core += any(isinstance(stage, Layer) for stage in partition(lower(graph)))
    assert on_core >= 4


@pytest.mark.parametrize("seed", range(12))
def test_random_models(runs: FpgaRuns, seed: int) -> None:
    generator = np.random.default_rng(seed)
    graph = load(*random_model(generator))
    try:
        lower(graph)
    except NotSupported as reason:
        pytest.skip(f"only the reference runs this one: {reason}")
    data = generator.integers(0, 256, graph.input_bytes).astype(np.uint8).tobytes()
    assert run_on_core(runs, graph, data) == [run(graph, data)]


@pytest.mark.parametrize("images", [4, pytest.param(360, marks=pytest.mark.slow)])
@pytest.mark.timeout(1800)
def test_digits(runs: FpgaRuns, images: int) -> None:
    """A network trained on real digits and converted."""
    digits = train_digits()
    found = convert(digits.onnx, digits.training[:256], settings=Settings(input_scale=1.0))
    graph = load(found.symbol, found.parameters)
    layers = [stage for stage in partition(lower(graph)) if isinstance(stage, Layer)]
    assert [layer.step.op for layer in layers] == ["conv2d", "conv2d", "dense"]
    taken = quantise_input(digits.images[:images], 1.0)
    given = [image.astype(np.int8).tobytes() for image in taken]
    assert run_on_core(runs, graph, *given) == [run(graph, data) for data in given]
