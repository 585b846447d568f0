"""Extension operators on the CPU give the reference's bits: one by one, and fused into plans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cpu.infer import InferRuns
from drivers.cpu.loaded_program import LoadedProgram
from drivers.program import Program
from node.lowering import lower
from node.spec.cvm.execution import compute_heads
from node.spec.cvm.operators.extension import EXTENSION
from tests.support.extension_layers import MAKERS, draw, random_layer

MEMORY_BYTES = 1 << 26


def run_steps(program: Program, data: bytes) -> bytes:
    loaded = LoadedProgram(program, MEMORY_BYTES)
    answer = loaded.run(data)
    loaded.close()
    return answer


def run_plan(program: Program, data: bytes) -> bytes:
    runs = InferRuns(MEMORY_BYTES, threads=1)
    runs.load("model", program)
    answer = runs.run("model", data)
    runs.close()
    return answer


def test_every_operator_is_tried():
    assert set(MAKERS) == set(EXTENSION)


@pytest.mark.parametrize("operator", sorted(MAKERS))
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_native_equals_reference(operator, seed):
    random = np.random.default_rng(seed)
    layer = random_layer(operator, random)
    graph = layer.graph()
    data = draw(random, layer.shape, layer.precision)
    (expected,) = compute_heads(graph, data)
    limit = 1 << (graph.precisions[graph.heads[0]] - 1)
    assert np.abs(expected.astype(np.int64)).max() < limit, "beyond the proved precision"
    for run in (run_steps, run_plan):
        answer = run(lower(graph), data.astype("<i4").tobytes())
        assert np.array_equal(np.frombuffer(answer, "<i4"), expected.reshape(-1)), layer
