"""A net that uses every kernel in every way, and what it must answer: shown before a GPU works."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.errors import SelfTestFailed
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.infer.geometry import as_planes, output_size
from drivers.kernels.infer.layers import (
    Add,
    Concatenate,
    Convert,
    Convolution,
    Form,
    Layer,
    Lookup,
    Plan,
    Pool,
    PoolKind,
    Rescale,
    Residual,
    Scale,
    Tensor,
    Window,
)
from drivers.kernels.infer.oracle import run_plan

#: Multiprocessors that the plan is laid out for: few take large tiles, many split the sums.
UNITS = (1, 1000)
SIGNED, UNSIGNED = (-128, 127), (0, 255)
Bounds = tuple[int, int]


@dataclass
class Net:
    """A plan while it is put together. Weights are full of extreme values."""

    random: np.random.Generator
    tensors: list[Tensor] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)

    def add(self, shape: tuple[int, ...], form: Form, bounds: Bounds) -> int:
        self.tensors.append(Tensor(shape, form, *bounds))
        return len(self.tensors) - 1

    def input(self, shape: tuple[int, ...], bounds: Bounds) -> int:
        words = self.add(shape, Form.WORDS, bounds)
        target = self.add(shape, Form.BYTES, bounds)
        self.layers.append(Convert(words, target))
        return target

    def convolve(
        self,
        source: int,
        out: int,
        window: Window,
        groups: int = 1,
        bounds: Bounds = SIGNED,
        residual: int | None = None,
        rescaled: bool = True,
    ) -> int:
        n, channels, *size = as_planes(self.tensors[source].shape)
        shape = (n, out, *output_size(window, tuple(size)))
        weight = self.weights((out, channels // groups, *window.size))
        bias = self.random.integers(-(2**20), 2**20, out).astype(np.int32)
        form = Form.BYTES if rescaled else Form.WORDS
        target = self.add(shape, form, bounds if rescaled else (-(2**31), 2**31 - 1))
        rescale = self.rescale(out, weight[0].size, bounds) if rescaled else None
        added = None if residual is None else self.residual(residual, bounds)
        self.layers.append(
            Convolution(source, target, weight, bias, window, groups, rescale, added)
        )
        return target

    def weights(self, shape: tuple[int, ...]) -> NDArray[np.int8]:
        found = self.random.integers(-128, 128, shape)
        found[self.random.random(shape) < 0.3] = -128
        found[self.random.random(shape) < 0.3] = 127
        return found.astype(np.int8)

    def rescale(self, channels: int, terms: int, bounds: Bounds) -> Rescale:
        """Of sums of ``terms`` products: most results lie within the bounds."""
        shift = max(1, terms.bit_length() // 2)
        multiplier = self.random.integers(1, 2**14, channels).astype(np.int32)
        half = np.full(channels, 2**19, np.int32)
        bits = (1 << shift - 1, shift, -(2**15), 2**15)
        return Rescale(*bits, multiplier, half, 20, *bounds)

    def residual(self, other: int, bounds: Bounds) -> Residual:
        own, theirs = (int(x) for x in self.random.integers(-(2**14), 2**14, 2))
        return Residual(other, own, theirs, 2**13, 14, *bounds)

    def pool(self, source: int, window: Window, kind: PoolKind) -> int:
        tensor = self.tensors[source]
        n, channels, *size = as_planes(tensor.shape)
        shape = (n, channels, *output_size(window, tuple(size)))
        bounds = (tensor.low, tensor.high)
        rescale = None
        if kind is PoolKind.SUM:
            rescale = self.rescale(channels, window.size[0] * window.size[1], bounds)
        target = self.add(shape, Form.BYTES, bounds)
        self.layers.append(Pool(source, target, kind, window, rescale))
        return target

    def map(self, source: int, layer: type[Add | Scale | Lookup], other: int = 0) -> int:
        shape = self.tensors[source].shape
        target = self.add(shape, Form.BYTES, SIGNED)
        if layer is Add:
            self.layers.append(Add(source, target, self.residual(other, SIGNED)))
        elif layer is Scale:
            self.layers.append(Scale(source, target, self.rescale(shape[1], 4, SIGNED)))
        else:
            table = self.random.integers(0, 256, 256).astype(np.uint8)
            self.layers.append(Lookup(source, target, table))
        return target

    def concatenate(self, *sources: int) -> int:
        shapes = [self.tensors[source].shape for source in sources]
        whole = (shapes[0][0], sum(shape[1] for shape in shapes), *shapes[0][2:])
        target = self.add(whole, Form.BYTES, SIGNED)
        self.layers.append(Concatenate(sources, target))
        return target

    def words(self, source: int) -> int:
        tensor = self.tensors[source]
        target = self.add(tensor.shape, Form.WORDS, (tensor.low, tensor.high))
        self.layers.append(Convert(source, target))
        return target

    def plan(self, *heads: int) -> Plan:
        return Plan(tuple(self.tensors), {}, tuple(self.layers), heads)


def trial_plan(seed: int = 0) -> Plan:
    """Two images of 3×21×19."""
    net = Net(np.random.default_rng(seed))
    x = net.input((2, 3, 21, 19), SIGNED)
    x = net.convolve(x, 44, Window((7, 7), (2, 2), (3, 3, 3, 3)), bounds=UNSIGNED)
    x = net.pool(x, Window((3, 3), (1, 1), (1, 1, 1, 1)), PoolKind.LARGEST)
    wide = net.convolve(x, 128, Window((1, 1)))
    same = Window((3, 3), padding=(1, 1, 1, 1))
    deep = net.convolve(wide, 128, same, residual=wide)
    apart = net.convolve(deep, 128, Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2)), groups=128)
    grouped = net.convolve(apart, 96, same, groups=8)
    looked_up = net.map(grouped, Lookup)
    left = net.convolve(looked_up, 36, Window((1, 3), padding=(0, 1, 0, 1)))
    right = net.map(net.convolve(looked_up, 50, Window((1, 1))), Scale)
    joined = net.concatenate(right, left, left)
    added = net.map(joined, Add, joined)
    pooled = net.pool(added, Window((2, 2), (2, 2)), PoolKind.SUM)
    _, _, height, width = as_planes(net.tensors[pooled].shape)
    whole = Window((height, width))
    dense = net.convolve(pooled, 21, whole, rescaled=False)
    return net.plan(net.words(joined), dense, net.words(pooled))


def trial_input(plan: Plan, seed: int = 0) -> NDArray[np.int32]:
    """Half of it extreme values."""
    random, tensor = np.random.default_rng(seed), plan.tensors[0]
    data = random.integers(tensor.low, tensor.high + 1, tensor.shape)
    data[random.random(tensor.shape) < 0.25] = tensor.low
    data[random.random(tensor.shape) < 0.25] = tensor.high
    return data.astype(np.int32)


def answer_of(plan: Plan, data: NDArray[np.int32]) -> bytes:
    """What a session must answer, by the definition of a plan without general steps."""
    heads = run_plan(plan, data, _run_nothing)
    return b"".join(head.astype("<i4").tobytes() for head in heads)


def _run_nothing(*_: object) -> list[NDArray[np.int32]]:
    raise AssertionError("there are no general steps")


def check(session: GpuInfer) -> None:
    """Raises `SelfTestFailed` unless the GPU answers as the definition does, to the bit."""
    plan = trial_plan()
    data = trial_input(plan)
    expected = answer_of(plan, data)
    gpu = session.gpu
    try:
        for units in UNITS:
            session.gpu = dataclasses.replace(gpu, units=units)
            session.load_plan("trial", plan)
            answers = session.run_many("trial", [data.astype("<i4").tobytes()] * 3)
            session.unload("trial")
            if any(answer != expected for answer in answers):
                raise SelfTestFailed(f"a net laid out for {units} multiprocessors answers wrongly")
    finally:
        session.gpu = gpu
