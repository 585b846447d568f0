"""Plans that ask much of inference kernels, for every family that lays them out alike."""

from __future__ import annotations

import numpy as np

from drivers.kernels.gpu.infer import trial
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.infer.layers import Convolution, Plan, PoolKind, Window

#: (n, channels, height, width), out, window, groups, bounds of the source.
SHAPES = {
    "one pixel": ((1, 1, 1, 1), 1, Window((1, 1)), 1, trial.UNSIGNED),
    "five channels": ((1, 5, 4, 3), 7, Window((2, 3)), 1, trial.SIGNED),
    "padding beyond": ((1, 3, 2, 2), 9, Window((3, 3), padding=(3, 4, 3, 4)), 1, trial.SIGNED),
    "uneven padding": ((2, 17, 6, 5), 33, Window((3, 2), (2, 1), (0, 1, 2, 0)), 1, trial.SIGNED),
    "stride beyond window": ((1, 20, 9, 9), 5, Window((2, 2), (3, 4)), 1, trial.UNSIGNED),
    "dilation": ((1, 32, 9, 8), 65, Window((3, 3), (1, 1), (2, 3, 2, 3), (2, 3)), 1, trial.SIGNED),
    "deep": ((3, 1030, 1, 1), 40, Window((1, 1)), 1, trial.UNSIGNED),
    "dense": ((1, 37, 3, 5), 130, Window((3, 5)), 1, trial.SIGNED),
    "groups of 4": ((1, 32, 4, 4), 32, Window((3, 3), padding=(1, 1, 1, 1)), 8, trial.UNSIGNED),
    "groups of 3 to 5": ((1, 15, 4, 4), 25, Window((1, 3)), 5, trial.SIGNED),
    "narrow groups": ((2, 4, 5, 5), 6, Window((3, 3)), 2, trial.SIGNED),
    "depthwise": ((1, 19, 5, 5), 19, Window((5, 5), (2, 2), (2, 2, 2, 2)), 19, trial.SIGNED),
    "narrow depthwise": ((1, 3, 4, 4), 3, Window((2, 2)), 3, trial.UNSIGNED),
}


def awkward_plan(name: str) -> Plan:
    """One of `SHAPES`: as words, whose every bit counts, and as bytes with a residual."""
    shape, out, window, groups, bounds = SHAPES[name]
    net = trial.Net(np.random.default_rng(len(name)))
    source = net.input(shape, bounds)
    sums = net.convolve(source, out, window, groups, rescaled=False)
    other = net.convolve(source, out, window, groups, trial.UNSIGNED)
    joined = net.convolve(source, out, window, groups, residual=other)
    return net.plan(sums, net.words(joined))


def trap_plan() -> Plan:
    """Sums of 4,608 terms: half of the channels have weights of 127 alone, half of −127."""
    net = trial.Net(np.random.default_rng(1))
    source = net.input((1, 512, 3, 3), trial.UNSIGNED)
    target = net.convolve(source, 32, Window((3, 3), padding=(1, 1, 1, 1)), rescaled=False)
    layer = net.layers[1]
    assert isinstance(layer, Convolution)
    layer.weight[:16] = 127
    layer.weight[16:] = -127
    return net.plan(target)


def pool_plan(kind: PoolKind) -> Plan:
    """Of values below 0, so that padding must not win."""
    net = trial.Net(np.random.default_rng(2))
    low = net.input((2, 21, 7, 5), (-128, -1))
    return net.plan(net.words(net.pool(low, Window((3, 2), (2, 1), (1, 1, 1, 1)), kind)))


def expect_no_saturation(session: GpuInfer) -> None:
    """x = 255 and w = ±127 over 4,608 terms: what instructions that saturate get wrong."""
    plan = trap_plan()
    data = np.full((1, 512, 3, 3), 255, np.int32)
    session.load_plan("trap", plan)
    answer = np.frombuffer(session.run("trap", data.tobytes()), "<i4").reshape(32, 3, 3)
    session.unload("trap")
    layer = plan.layers[1]
    assert isinstance(layer, Convolution)
    assert (answer[:16, 1, 1] == 255 * 127 * 4608 + layer.bias[:16]).all()
    assert (answer[16:, 1, 1] == -255 * 127 * 4608 + layer.bias[16:]).all()
