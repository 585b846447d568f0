"""Each kernel on each instruction set and thread count against numpy int64."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import kernel_oracle as oracle
import numpy as np
import pytest
from kernel_cases import (
    ConvolutionCase,
    draw_any,
    draw_bytes,
    draw_convolution,
    draw_image,
    draw_pool,
    draw_residual,
    draw_window,
    rescale_for,
)
from numpy.typing import NDArray

from drivers.cpu import layers
from drivers.cpu.layers import Image, Method, PackedConvolution, Team, Weights, Window
from drivers.cpu.packing import MethodChoice

CANARY = 77


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
    weights = Weights(case.weight, case.bias, case.multiplier, case.offset)
    return PackedConvolution(case.form, weights, method)


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


@pytest.mark.parametrize("inner", [1, 4, 8, 16])
@pytest.mark.parametrize("seed", range(6))
def test_narrow_groups(seed: int, inner: int, isa: str, team: Team) -> None:
    random = np.random.default_rng(seed)
    channels = int(random.choice([16, 48, 64]) + (random.choice([0, 3]) if inner == 1 else 0))
    height, width = (int(x) for x in random.integers(3, 17, 2))
    source = draw_image(random, (int(random.choice([1, 2])), height, width, channels))
    stride = int(random.choice([1, 2]))
    window = Window(3, 3, stride, stride, *(int(x) for x in random.integers(0, 3, 4)), 1, 1)
    if inner == 1 and seed % 2:
        window = draw_window(random, height, width)
    joins = bool(random.integers(2))
    case = draw_convolution(random, source, window, channels, channels // inner, joins=joins)
    check(case, team)


@pytest.mark.parametrize("seed", range(8))
def test_winograd(seed: int, isa: str, team: Team) -> None:
    random = np.random.default_rng(seed)
    height, width = (int(x) for x in random.integers(1, 23, 2))
    shape = (int(random.choice([1, 2])), height, width, int(random.choice([1, 8, 33, 64])))
    window = Window(3, 3, 1, 1, *(int(x) for x in random.integers(1, 4, 4)), 1, 1)
    outer, joins = int(random.choice([5, 16, 70, 128])), bool(random.integers(2))
    case = draw_convolution(random, draw_image(random, shape), window, outer, joins=joins)
    assert Method.WINOGRAD in pack(case, None).methods
    check(case, team, Method.WINOGRAD)


def test_winograd_refuses_what_it_cannot_prove() -> None:
    """Sums of 2^25 or more come out wrong, so such a layer has no such method."""
    window = Window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    for channels, proved in ((115, True), (116, False)):  # 255 · 127 · 9 · 115 < 2^25
        source = Image(1, 4, 4, channels, channels, 0)
        case = draw_convolution(np.random.default_rng(0), source, window, 16)
        case.weight[...] = 127
        assert (Method.WINOGRAD in pack(case, None).methods) == proved


def test_a_method_is_timed_where_the_residual_lies_far_apart() -> None:
    """As a part of a wide concatenation does."""
    window = Window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    source = Image(1, 32, 32, 32, 32, 0)
    case = draw_convolution(np.random.default_rng(0), source, window, 32, joins=True)
    case.form.residual.pixel_stride = 1 << 16
    weights = Weights(case.weight, case.bias, case.multiplier, case.offset)
    methods = weights.list_methods(case.form)
    assert len(methods) > 2 and MethodChoice().choose(case.form, weights) in methods


def test_saturation_trap(isa: str, team: Team) -> None:
    """Pairs of products that do not fit 16 bits: 255 · ±127."""
    source, window = Image(1, 5, 5, 64, 64, 0), Window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    for sign in (1, -1):
        case = draw_convolution(np.random.default_rng(0), source, window, 32, rescaled=False)
        case.source[...] = 255
        case.weight[...] = 127 * sign
        check(case, team)


@pytest.mark.parametrize("seed", range(30))
def test_pools(seed: int, isa: str, team: Team) -> None:
    random = np.random.default_rng(seed)
    case = draw_pool(random)
    target = case.form.target
    wanted = oracle.pool(case.form, case.multiplier, case.offset, case.source)
    if case.form.largest or case.form.rescaled:
        out = target.empty()
        out[...] = CANARY
        layers.pool(case.form, case.multiplier, case.offset, case.source, out, team)
        assert (out[..., target.channels :] == CANARY).all()
        np.testing.assert_array_equal(out[..., : target.channels], wanted)
    else:
        words = np.full(wanted.shape, CANARY, np.int32)
        layers.pool(case.form, None, None, case.source, words, team)
        np.testing.assert_array_equal(words, wanted)


@pytest.mark.parametrize("seed", range(12))
def test_elements(seed: int, isa: str, team: Team) -> None:
    """Add, scale, look up, copy and both conversions."""
    random = np.random.default_rng(seed)
    shape = (2, *(int(x) for x in random.integers(1, 40, 2)), int(random.integers(1, 90)))
    own, to = draw_image(random, shape), draw_image(random, shape)
    residual = draw_residual(random, to)
    other = Image(*shape, residual.pixel_stride, residual.zero)
    a, b = draw_bytes(random, own), draw_bytes(random, other)
    x, y = oracle.values(own, a), oracle.values(other, b)
    by, multiplier, offset = rescale_for(random, 256, own.channels, to.zero)
    table = random.integers(0, 256, 256).astype(np.uint8)
    out = [to.empty() for _ in range(4)]
    layers.add(own, to, residual, a, b, out[0], team)
    layers.scale(own, to, by, multiplier, offset, a, out[1], team)
    layers.look_up(own, to, table, a, out[2], team)
    small = Image(*shape, own.pixel_stride, 128 - own.zero)
    narrow = np.minimum(a, 127)
    layers.copy(small, to, (narrow + small.zero).astype(np.uint8), out[3], team)
    seen = [image[..., : own.channels] for image in out]
    np.testing.assert_array_equal(seen[0], oracle.join(x, y, residual) + to.zero)
    np.testing.assert_array_equal(seen[1], oracle.rescale(x, by, multiplier, offset) + to.zero)
    np.testing.assert_array_equal(seen[2], table[a[..., : own.channels]])
    np.testing.assert_array_equal(seen[3] - to.zero, narrow[..., : own.channels])


@pytest.mark.parametrize("seed", range(4))
def test_conversions(seed: int, isa: str, team: Team) -> None:
    random = np.random.default_rng(seed)
    shape = (2, *(int(x) for x in random.integers(1, 40, 2)), int(random.integers(1, 90)))
    image = draw_image(random, shape)
    drawn = draw_bytes(random, image)
    words = np.empty((shape[0], shape[3], *shape[1:3]), np.int32)
    layers.to_words(image, drawn, words, team)
    np.testing.assert_array_equal(words.transpose(0, 2, 3, 1), oracle.values(image, drawn))
    back = image.empty()
    layers.to_bytes(image, words, back, team)
    np.testing.assert_array_equal(back[..., : shape[3]], drawn[..., : shape[3]])


def test_a_team_that_cannot_be_started_is_refused() -> None:
    """Those of its threads that were started must end."""
    command = """
import resource
from pathlib import Path
from drivers.cpu.layers import Team
from drivers.errors import DriverError

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 26),) * 2)
try:
    Team(256)
except DriverError as refusal:
    print(refusal)
"""
    shown = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.strip() == "256 threads cannot be started; ask for fewer"
