"""What the limits count, on a net small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.infer_gpu_limits import LAUNCH_SECONDS, Peaks, summarise
from drivers.kernels.gpu.infer import trial
from drivers.kernels.gpu.infer.scheduler import schedule
from drivers.kernels.gpu.infer.target import InferGpu, Target
from drivers.kernels.infer.layers import Window

PEAKS = Peaks(1e12, 1e9)


def test_counts_of_one_convolution() -> None:
    """64 to 96 channels, 3×3, 8×8 pixels: words in, bytes, bytes, words out."""
    net = trial.Net(np.random.default_rng(0))
    source = net.input((1, 64, 8, 8), trial.SIGNED)
    target = net.convolve(source, 96, Window((3, 3), padding=(1, 1, 1, 1)))
    plan = net.plan(net.words(target))
    found = schedule(plan, InferGpu(Target("wgmma"), 132, 1 << 30))
    one, many = (summarise(found, batch, PEAKS) for batch in (1, 64))
    assert one["launches"] == many["launches"] == 3
    assert one["gmac"] == 64 * 96 * 64 * 9 / 1e9
    assert one["executed_gmac"] == 64 * 128 * 64 * 9 / 1e9
    assert one["weights_mb"] == 96 * 64 * 9 / 1e6
    pixels = 64 * (5 * 64 + 64 + 96 + 5 * 96)
    assert one["pixels_mb"] == pixels / 1e6
    assert many["pixels_mb"] == 64 * pixels / 1e6
    assert one["memory_ms"] == pytest.approx((pixels + 96 * 64 * 9) / 1e6)
    assert one["arithmetic_ms"] < one["memory_ms"] <= one["least_ms"]
    assert one["launching_ms"] == pytest.approx(3e3 * LAUNCH_SECONDS)
