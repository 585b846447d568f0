"""Extension operators on the CPU's general kernels give the reference's bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cpu.loaded_program import LoadedProgram
from node.lowering import lower
from node.spec.cvm.execution import compute_heads
from node.spec.cvm.operators.extension import EXTENSION
from tests.support.extension_layers import MAKERS, draw, random_layer

MEMORY_BYTES = 1 << 26


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
    loaded = LoadedProgram(lower(graph), MEMORY_BYTES)
    answer = loaded.run(data.astype("<i4").tobytes())
    loaded.close()
    assert np.array_equal(np.frombuffer(answer, "<i4"), expected.reshape(-1)), layer
