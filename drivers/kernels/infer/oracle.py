"""A plan computed by its definition in numpy's int64, with every proved bound checked.

Slow. It says what a family's kernels must answer; `General` steps are computed by a function that
the caller gives, as operators on WORDS are not defined here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.infer.geometry import Shape, as_planes, output_size
from drivers.kernels.infer.intervals import HIGHEST, LOWEST, Wide
from drivers.kernels.infer.layers import (
    Add,
    Concatenate,
    Convert,
    Convolution,
    Form,
    General,
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
from drivers.program import Step

#: A step and its input tensors; gives its output tensors.
RunStep = Callable[[Step, Sequence[NDArray[np.int32]]], Sequence[NDArray[np.int32]]]


class BoundBroken(AssertionError):
    """A value lies beyond what was proved of it."""


def run_plan(plan: Plan, data: NDArray[np.int32], run_step: RunStep) -> list[NDArray[np.int32]]:
    """The heads for an input of tensor 0's shape.

    Raises:
        BoundBroken: a value, sum or product passes its bound. The plan is wrong.
    """
    return _Run(plan, run_step).run(data)


class _Run:
    """Values by tensor: BYTES as (n, c, h, w), WORDS in the tensor's shape; all without zeros."""

    def __init__(self, plan: Plan, run_step: RunStep) -> None:
        self.plan = plan
        self.run_step = run_step
        self.values: dict[int, Wide] = {
            number: words.astype(np.int64) for number, words in plan.constants.items()
        }

    def run(self, data: NDArray[np.int32]) -> list[NDArray[np.int32]]:
        self._set(0, data.astype(np.int64))
        for layer in self.plan.layers:
            self._compute(layer)
        return [self.values[head].astype(np.int32) for head in self.plan.heads]

    def _set(self, number: int, value: Wide) -> None:
        tensor = self.plan.tensors[number]
        shape = as_planes(tensor.shape) if tensor.form is Form.BYTES else tensor.shape
        if value.size and (value.min() < tensor.low or value.max() > tensor.high):
            raise BoundBroken(f"tensor {number}: {value.min()}…{value.max()} is not in {tensor}")
        self.values[number] = value.reshape(shape)

    def _compute(self, layer: Layer) -> None:
        match layer:
            case General(step):
                inputs = [self.values[number].astype(np.int32) for number in step.inputs]
                for number, value in zip(step.outputs, self.run_step(step, inputs), strict=True):
                    self._set(number, value.astype(np.int64))
            case Concatenate(sources, target):
                self._set(target, np.concatenate([self.values[s] for s in sources], axis=1))
            case _:
                self._set(layer.target, self._value(layer))

    def _value(self, layer: Any) -> Wide:
        x = self.values[layer.source]
        match layer:
            case Convolution():
                sums = _expect_words(_convolve(x, layer))
                return self._finish(sums, layer.rescale, layer.residual)
            case Pool():
                return self._finish(self._pool(x, layer), layer.rescale, None)
            case Add():
                return self._finish(x, None, layer.residual)
            case Scale():
                return rescale(x, layer.rescale)
            case Lookup():
                tensors = self.plan.tensors
                return _look_up(x, layer, tensors[layer.source], tensors[layer.target])
        assert isinstance(layer, Convert)
        return x

    def _finish(self, x: Wide, scaling: Rescale | None, residual: Residual | None) -> Wide:
        if scaling is not None:
            x = rescale(x, scaling)
        if residual is not None:
            x = _add(x, self.values[residual.other], residual)
        return x

    def _pool(self, x: Wide, layer: Pool) -> Wide:
        shape = self.plan.tensors[layer.target].shape
        filling = LOWEST if layer.kind is PoolKind.LARGEST else 0
        windows = _windows(x, layer.window, as_planes(shape)[2:], filling)
        if layer.kind is PoolKind.LARGEST:
            return np.asarray(windows.max(axis=(4, 5)))
        return np.asarray(windows.sum(axis=(4, 5)))


def _expect_words(x: Wide) -> Wide:
    if x.size and (x.min() < LOWEST or x.max() > HIGHEST):
        raise BoundBroken(f"{x.min()}…{x.max()} passes 32 bits")
    return x


def _windows(x: Wide, window: Window, shape: Shape, filling: int) -> Wide:
    """(n, c, rows, columns, window rows, window columns), for ``shape`` rows and columns."""
    top, left = window.padding[:2]
    spread = [1 + (k - 1) * d for k, d in zip(window.size, window.dilation, strict=True)]
    reach = [
        (count - 1) * stride + each
        for count, stride, each in zip(shape, window.strides, spread, strict=True)
    ]
    bottom, right = (
        max(0, end - before - size)
        for end, before, size in zip(reach, (top, left), x.shape[2:], strict=True)
    )
    edges = ((0, 0), (0, 0), (top, bottom), (left, right))
    padded = np.pad(x, edges, constant_values=filling)[:, :, : reach[0], : reach[1]]
    windows = np.lib.stride_tricks.sliding_window_view(padded, spread, axis=(2, 3))
    (down, over), (rows, columns) = window.strides, window.dilation
    return np.asarray(windows[:, :, ::down, ::over, ::rows, ::columns])


def _convolve(x: Wide, layer: Convolution) -> Wide:
    windows = _windows(x, layer.window, output_size(layer.window, x.shape[2:]), 0)
    parts = [
        np.einsum("nchwyx,ocyx->nohw", part, weight, optimize=True)
        for part, weight in zip(
            np.split(windows, layer.groups, axis=1),
            np.split(layer.weight.astype(np.int64), layer.groups),
            strict=True,
        )
    ]
    return np.asarray(np.concatenate(parts, axis=1) + layer.bias.astype(np.int64)[:, None, None])


def rescale(x: Wide, by: Rescale) -> Wide:
    """`layers.Rescale` by its definition. Shape (n, c, h, w)."""
    first = _expect_words(x + by.pre_half) >> by.pre_shift
    first = np.clip(first, by.pre_low, by.pre_high)
    multiplier = by.multiplier.astype(np.int64)[:, None, None]
    offset = by.offset.astype(np.int64)[:, None, None]
    total = _expect_words(_expect_words(first * multiplier) + offset)
    return np.asarray(np.clip(total >> by.shift, by.low, by.high))


def _add(x: Wide, other: Wide, residual: Residual) -> Wide:
    own, theirs = x * residual.own, other * residual.theirs
    total = _expect_words(_expect_words(own) + _expect_words(theirs))
    total = _expect_words(total + residual.half)
    return np.asarray(np.clip(total >> residual.shift, residual.low, residual.high))


def _look_up(x: Wide, layer: Lookup, source: Tensor, target: Tensor) -> Wide:
    return np.asarray(layer.table[x + source.zero].astype(np.int64) - target.zero)
