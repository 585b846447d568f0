"""INT6 models: smaller when packed, exact everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.base import Capability
from drivers.worker import open_session
from node.lowering import encode_heads, lower
from node.models.sizes import measure_parameters
from node.spec.cvm import CvmLoadError, Graph, load, run
from node.spec.cvm.execution import decode_input
from node.spec.cvm.writer import ModelWriter
from tests.support.isas import ISAS, skip_without


def six_bit_model(largest: int = 31) -> Graph:
    """conv2d and dense of six-bit data and weights, in the official form."""
    random = np.random.default_rng(6)
    writer = ModelWriter()
    data = writer.add_input((1, 3, 8, 8), 6)
    kernel = random.choice([-largest, largest], (5, 3, 3, 3))
    weight = writer.add_parameter("k", kernel, 6)
    total = writer.add(
        "conv2d", "c", [data, weight], channels=5, kernel_size=(3, 3), use_bias=False
    )
    narrow = writer.add("cvm_right_shift", "s", [total], precision=6, shift_bit=5)
    flat = writer.add("flatten", "f", [narrow])
    units = writer.add_parameter("u", random.integers(-31, 32, (4, 180)), 6)
    bias = writer.add_parameter("b", random.integers(-500, 500, 4), 16)
    return load(*writer.finish([writer.add("dense", "d", [flat, units, bias], units=4)]))


def test_packed_size():
    sizes = measure_parameters(six_bit_model())
    assert sizes.elements == {6: 5 * 27 + 4 * 180, 16: 4}
    assert sizes.stored_bytes == 855 + 16
    assert sizes.packed_bytes == (855 * 6 + 4 * 16 + 7) // 8
    assert str(sizes) == "855 of 6 bits, 4 of 16 bits: 871 bytes, 650 if packed"


def test_a_weight_of_seven_bits_is_refused():
    with pytest.raises(CvmLoadError, match="beyond precision 6"):
        six_bit_model(largest=32)


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_is_exact(monkeypatch, isa):
    skip_without(isa)
    monkeypatch.setenv("FARMCPU_ISA", isa)
    graph = six_bit_model()
    with open_session("cpu", "cpu:0", Capability.INFER) as session:
        session.load("six", lower(graph))
        for seed in range(20):
            # Beyond ±31 the input is clamped.
            random = np.random.default_rng(seed)
            data = random.integers(-40, 41, graph.input_shape).astype(np.int8).tobytes()
            answer = session.run("six", decode_input(graph, data).astype("<i4").tobytes())
            assert encode_heads(graph, answer) == run(graph, data)
