"""Programs on the simulated core, through the session that a board has: equal to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.base import Capability
from drivers.errors import BadArgument
from drivers.fpga.layers import Layer
from drivers.fpga.partition import partition
from drivers.fpga.session import FpgaRuns
from drivers.host_program import HostProgram
from drivers.selftest import check
from tests.support.cvm_layers import random_layer

LIMIT = 1 << 28


def test_gives_the_known_answer(runs: FpgaRuns) -> None:
    assert "to the bit" in check(runs, Capability.INFER)


@pytest.mark.parametrize("seed", range(24))
def test_layers_are_exact(runs: FpgaRuns, seed: int) -> None:
    """Kernels, strides, padding, dilation, groups, packed and not, fused and not."""
    random = np.random.default_rng(seed)
    program, data = random_layer(random)
    assert any(isinstance(stage, Layer) for stage in partition(program))
    expected = HostProgram(program, LIMIT).run(data)
    runs.load(str(seed), program)
    assert runs.run(str(seed), data) == expected
    assert runs.layer_counters(str(seed))
    runs.unload(str(seed))


def test_refuses_what_it_was_not_given(runs: FpgaRuns) -> None:
    program, data = random_layer(np.random.default_rng(0))
    runs.load("model", program)
    with pytest.raises(BadArgument, match="bytes"):
        runs.run("model", data[:-4])
    runs.unload("model")
    with pytest.raises(BadArgument, match="not loaded"):
        runs.run("model", data)
