"""Each kernel on each instruction set and thread count against numpy int64."""

from __future__ import annotations

from collections.abc import Iterator

import kernel_oracle as oracle
import numpy as np
import pytest
from kernel_cases import ConvolutionCase, draw_any, draw_convolution
from numpy.typing import NDArray

from drivers.cpu import layers
from drivers.cpu.layers import Image, Method, PackedConvolution, Team, Window
from drivers.errors import NotSupported

ISAS = ("baseline", "avx2", "avx512", "avx512vnni")
CANARY = 77


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    best = layers.isa()
    try:
        layers.use_isa(request.param)
    except NotSupported as lack:
        pytest.skip(str(lack))
    yield request.param
    layers.use_isa(best)


@pytest.fixture(scope="module", params=(1, 2, 3))
def team(request: pytest.FixtureRequest) -> Iterator[Team]:
    with Team(request.param) as team:
        yield team


def check(case: ConvolutionCase, team: Team, method: Method | None = None) -> None:
    """By each method that is exact, or the given one; bytes beside the channels stay."""
    form = case.form
    wanted = oracle.convolve(
        form, case.weight, case.bias, case.multiplier, case.offset, case.source, case.other
    )
    first = pack(case, method)
    for present in first.methods if method is None else (method,):
        layer = pack(case, present)
        found = run(case, layer, team)
        np.testing.assert_array_equal(found, wanted, f"{case} by {present.name}")


def pack(case: ConvolutionCase, method: Method | None) -> PackedConvolution:
    return PackedConvolution(
        case.form, case.weight, case.bias, case.multiplier, case.offset, method
    )


def run(
    case: ConvolutionCase, layer: PackedConvolution, team: Team
) -> NDArray[np.uint8] | NDArray[np.int32]:
    target = case.form.target
    scratch = layer.scratch(team.threads)
    if not case.form.rescaled:
        shape = (target.batch, target.channels, target.height, target.width)
        words = np.full(shape, CANARY, np.int32)
        layer.run(case.source, None, words, scratch, team)
        return words
    out = target.empty()
    out[...] = CANARY
    layer.run(case.source, case.other, out, scratch, team)
    assert (out[..., target.channels :] == CANARY).all(), f"{case} wrote beside its channels"
    return out[..., : target.channels]


@pytest.mark.parametrize("seed", range(40))
def test_any_convolution(seed: int, isa: str, team: Team) -> None:
    check(draw_any(np.random.default_rng(seed)), team)


def test_saturation_trap(isa: str, team: Team) -> None:
    """Pairs of products that do not fit 16 bits: 255 · ±127."""
    source, window = Image(1, 5, 5, 64, 64, 0), Window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    for sign in (1, -1):
        case = draw_convolution(np.random.default_rng(0), source, window, 32, rescaled=False)
        case.source[...] = 255
        case.weight[...] = 127 * sign
        check(case, team)
