"""Extension operators against their definitions, written another way."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from node.spec.cvm.execution import compute_heads
from node.spec.cvm.operators.extension import convolution
from tests.support import reference_program
from tests.support.extension_layers import Layer, draw, random_layer


def compute(operator, data, precision, parameters=(), **attributes):
    layer = Layer(operator, data.shape, precision, list(parameters), attributes)
    (head,) = compute_heads(layer.graph(), np.asarray(data, np.int32))
    return head


def ints(*values):
    return np.array(values, np.int32)


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_requantise_rounds_halves_up_and_clips(shift):
    values, multiplier = np.arange(-40, 40).reshape(8, 10), ints(*range(-4, 6))
    found = compute(
        "requantise", values, 8, [(multiplier, 4)], pre_shift=1, shift=shift, low=-20, high=33
    )
    exact = np.floor(values / 2) * multiplier / 2**shift
    assert np.array_equal(found, np.clip(np.floor(exact + 0.5), -20, 33))


def test_scaled_add():
    found = compute(
        "scaled_add", ints(3, -3, 200), 9, [(ints(1, 0, 255), 9)],
        own=1, theirs=-2, shift=1, low=-100, high=100,
    )  # fmt: skip
    assert found.tolist() == [1, -1, -100]  # halves up: 0.5 and -1.5; -155 is clipped


@pytest.mark.parametrize("seed", range(10))
def test_conv2d_with_padding_by_hand(seed):
    random = np.random.default_rng(seed)
    layer = random_layer("conv2d", random)
    data = draw(random, layer.shape, 9)
    count = len(layer.attributes["padding"])
    p = [n for n in layer.attributes["padding"] for _ in range(4 // count)]
    top, left, bottom, right = p if count != 2 else (p[0], p[2], p[0], p[2])
    bias = layer.parameters[1][0].astype(np.int64) if len(layer.parameters) > 1 else None
    strides = layer.attributes["strides"] * (3 - len(layer.attributes["strides"]))
    expected = reference_program.conv2d(
        np.pad(data.astype(np.int64), ((0, 0), (0, 0), (top, bottom), (left, right))),
        layer.parameters[0][0].astype(np.int64),
        bias,
        strides=strides[:2],
        dilation=layer.attributes["dilation"],
        groups=layer.attributes["groups"],
    )
    assert np.array_equal(compute_heads(layer.graph(), data)[0], expected)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_a_deconvolution_is_the_transpose_of_its_convolution(count, seed):
    """⟨deconvolve(x), y⟩ = ⟨x, convolve(y)⟩ for every x and y."""
    random = np.random.default_rng(seed)
    layer = random_layer(f"conv_transpose{count}d", random)
    layer.attributes["use_bias"] = False
    del layer.parameters[1:]
    (weight, _), *_ = layer.parameters
    x = random.integers(-9, 10, layer.shape)
    spread = compute_heads(layer.graph(), x.astype(np.int32))[0].astype(np.int64)
    y = random.integers(-9, 10, spread.shape)
    attributes = {**layer.attributes, "channels": layer.shape[1]}
    del attributes["output_padding"]
    back = compute(f"conv{count}d", y, 9, [(weight, 8)], **attributes).astype(np.int64)
    # Output padding may leave room for one more position, which meets no input.
    back = back[tuple(map(slice, x.shape))]
    assert (spread * y).sum() == (x * back).sum()


def test_a_deconvolution_holds_nothing_of_what_its_padding_cuts_off():
    weight = np.arange(1, 37).reshape(1, 4, 3, 3)
    tracemalloc.start()
    found = compute(
        "conv_transpose2d", np.full((1, 1, 1, 1), 2), 8, [(weight, 8)],
        channels=4, kernel_size=(3, 3), padding=1000, dilation=1000, use_bias=False,
    )  # fmt: skip
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.tolist() == (2 * weight[:, :, 1:2, 1:2]).tolist()
    assert peak < 1 << 20  # of 128 MiB before the cut


def test_a_convolution_of_one_row_is_cut_along_it(monkeypatch):
    random = np.random.default_rng(5)
    data = random.integers(-3, 4, (1, 2, 16, 600))
    weight = random.integers(-3, 4, (3, 2, 16, 16))
    attributes = {"channels": 3, "kernel_size": (16, 16), "use_bias": False}
    whole = compute("conv2d", data, 3, [(weight, 3)], **attributes)
    monkeypatch.setattr(convolution, "_HELD", 1 << 12)
    tracemalloc.start()
    found = compute("conv2d", data, 3, [(weight, 3)], **attributes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(found, whole)
    assert peak < 585 * 512 * 8 // 2  # of all windows


def test_average_pool_counts_padding_or_not():
    data = ints(4, 5, 6, 8).reshape(1, 1, 4)
    form = {"pool_size": "(2,)", "padding": "(1,)", "strides": "(1,)"}
    assert compute("avg_pool1d", data, 8, **form).reshape(-1).tolist() == [2, 5, 6, 7, 4]
    found = compute("avg_pool1d", data, 8, count_include_pad=False, **form)
    assert found.reshape(-1).tolist() == [4, 5, 6, 7, 8]
    negative = compute("avg_pool1d", -data, 8, **form)
    assert negative.reshape(-1).tolist() == [-2, -4, -5, -7, -4]


@pytest.mark.parametrize(("zero", "expected"), [(128, [5, 0, 255]), (0, [133, 10, 255])])
def test_table(zero, expected):
    entries = np.arange(256)
    entries[128] = 5 if zero == 128 else entries[128]
    values = ints(0, -255, 255) if zero == 128 else ints(133, 10, 255)
    assert compute("table", values, 9, [(entries, 9)], zero=zero).tolist() == expected


def test_softmax_is_close_to_the_real_one():
    values = np.random.default_rng(0).integers(-127, 128, (6, 20))
    table = np.floor(65535 * np.exp(-np.arange(256) / 16) + 0.5).astype(np.int32)
    found = compute("softmax", values, 8, [(table, 17)], scale=255)
    powers = np.exp(values / 16)
    assert np.abs(found - 255 * powers / powers.sum(axis=1, keepdims=True)).max() < 0.52


def test_softmax_without_a_share_is_zero():
    assert compute("softmax", ints(1, 2), 8, [(ints(0, -5), 4)]).tolist() == [0, 0]


def test_layer_norm_is_close_to_the_real_one():
    random = np.random.default_rng(0)
    values = random.integers(-127, 128, (5, 64))
    gamma, beta = random.integers(-(2**14), 2**14, 64), random.integers(-(2**20), 2**20, 64)
    found = compute(
        "layer_norm", values, 8, [(gamma, 15), (beta, 21)],
        fraction=10, shift=16, low=-127, high=127,
    )  # fmt: skip
    normal = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    exact = (normal * 2**10 * gamma + beta) / 2**16
    assert np.abs(found - np.clip(exact, -127, 127)).max() < 0.65
    assert np.abs(exact).max() > 100


def test_layer_norm_of_equal_numbers_is_beta():
    form = {"fraction": 10, "shift": 0, "low": -9, "high": 9}
    found = compute("layer_norm", ints(7, 7, 7), 8, [(ints(5, 5, 5), 8), (ints(1, -2, 30), 8)],
                    **form)  # fmt: skip
    assert found.tolist() == [1, -2, 9]


@pytest.mark.parametrize(("before", "after"), [(3, 6), (6, 3), (5, 7), (4, 4), (1, 3), (7, 2)])
def test_linear_resize_is_rounded_interpolation(before, after):
    data = np.random.default_rng(before).integers(-127, 128, (1, 2, before))
    found = compute("resize", data, 8, size=f"({after},)", method="linear")
    places = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    exact = [np.interp(places, np.arange(before), row) for row in data[0]]
    assert np.abs(found[0] - np.array(exact)).max() <= 0.5 + 1e-9


def test_nearest_upsampling_repeats():
    data = np.arange(12).reshape(1, 2, 2, 3)
    found = compute("upsample", data, 8, scale="(2, 3)")
    assert np.array_equal(found, data.repeat(2, axis=2).repeat(3, axis=3))


def test_gather_picks_along_its_axis_and_clamps():
    data = np.arange(6).reshape(2, 3)
    found = compute("gather", data, 8, [(ints(2, 0, -1, 9).reshape(2, 2), 8)], axis=1)
    assert found.tolist() == [[2, 0], [3, 5]]


def test_sorting_is_stable_both_ways():
    data = ints(3, 1, 3, 2)
    assert compute("argsort", data, 8).tolist() == [1, 3, 0, 2]
    assert compute("argsort", data, 8, is_ascend=False).tolist() == [0, 2, 3, 1]
    assert compute("sort", data, 8, is_ascend=False).tolist() == [3, 3, 2, 1]


def bilinear(plane, y, x):
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = plane[top, left] * (1 - across) + plane[top, right] * across
    return (
        upper * (1 - down)
        + (plane[bottom, left] * (1 - across) + plane[bottom, right] * across) * down
    )


@pytest.mark.parametrize("seed", range(20))
def test_roi_align_is_the_average_of_its_samples(seed):
    random = np.random.default_rng(seed)
    layer = random_layer("roi_align", random)
    layer.precision = 9
    data = draw(random, layer.shape, 9)
    found = compute_heads(layer.graph(), data)[0]
    unit, samples = layer.attributes["unit"], layer.attributes["samples"]
    shift = 0.5 if layer.attributes["aligned"] else 0.0
    for region, grid in zip(layer.parameters[0][0], found, strict=True):
        image = data[min(max(region[0], 0), len(data) - 1)]
        left, top, right, bottom = region[1:] / unit - shift
        least = 0.0 if layer.attributes["aligned"] else 1.0
        height, width = max(bottom - top, least), max(right - left, least)
        for channel, i, j in np.ndindex(grid.shape):
            values = [
                bilinear(
                    image[channel],
                    top + (i + (k + 0.5) / samples) * height / grid.shape[1],
                    left + (j + (m + 0.5) / samples) * width / grid.shape[2],
                )
                for k, m in np.ndindex(samples, samples)
            ]
            assert abs(grid[channel, i, j] - np.mean(values)) <= 0.5 + 1e-6


def test_roi_pool_takes_the_largest_of_each_bin():
    data = np.arange(16).reshape(1, 1, 4, 4)
    regions = np.array([[0, 0, 0, 3, 3], [0, 1, 1, 2, 2], [5, -9, -9, -8, -8]])
    found = compute("roi_pool", data, 8, [(regions, 8)], pooled_size="(2, 2)")
    assert found.reshape(3, 4).tolist() == [[5, 7, 13, 15], [5, 6, 9, 10], [0, 0, 0, 0]]
    scaled = compute("roi_pool", data, 8, [(regions * 4, 8)], pooled_size="(2, 2)", unit=4)
    assert np.array_equal(found, scaled)
