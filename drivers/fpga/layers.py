"""The layers that the core computes, all as one form: a convolution of planes.

A dense layer of n rows is a convolution by 1×1 of k channels over a plane of 1×n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from drivers.fpga.requantisation import Requantisation
from drivers.program import Program, Step


@dataclass(frozen=True)
class Pair:
    """Rows and columns."""

    rows: int
    columns: int

    @classmethod
    def of(cls, step: Step, name: str, default: int) -> Self:
        value = step.attributes.get(name, (default, default))
        if isinstance(value, int):
            return cls(value, value)
        return cls(value[0], value[-1])


@dataclass(frozen=True)
class Geometry:
    """Of a convolution: input (images, channels, height, width), filters and how they move."""

    images: int
    channels: int
    height: int
    width: int
    filters: int
    kernel: Pair
    padding: Pair = Pair(0, 0)
    strides: Pair = Pair(1, 1)
    dilation: Pair = Pair(1, 1)
    groups: int = 1

    @property
    def output(self) -> Pair:
        def count(size: int, pad: int, kernel: int, stride: int, dilation: int) -> int:
            return (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1

        k, p, s, d = self.kernel, self.padding, self.strides, self.dilation
        return Pair(
            count(self.height, p.rows, k.rows, s.rows, d.rows),
            count(self.width, p.columns, k.columns, s.columns, d.columns),
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the layer as it is defined."""
        per_output = self.channels // self.groups * self.kernel.rows * self.kernel.columns
        return self.images * self.filters * self.output.rows * self.output.columns * per_output


@dataclass(frozen=True)
class Layer:
    """One layer with the element-wise steps that the core applies to its sums."""

    step: Step
    fused: tuple[Step, ...]
    geometry: Geometry
    weights: NDArray[np.int8]
    """(filters, channels of a group, kernel rows, kernel columns)"""
    bias: NDArray[np.int32]
    """(filters,)"""
    requantisation: Requantisation
    packs_features: bool
    """Features are known to fit six bits."""

    @property
    def source(self) -> int:
        return self.step.inputs[0]

    @property
    def target(self) -> int:
        return (self.fused[-1] if self.fused else self.step).outputs[0]

    @property
    def packs_weights(self) -> bool:
        return fits_six_bits(self.weights)

    @property
    def is_dense(self) -> bool:
        return self.step.op == "dense"

    def to_planes(self, value: NDArray[np.int32]) -> NDArray[np.int32]:
        """A value of the program as (images, channels, height, width)."""
        return value.T[None, :, None, :] if self.is_dense else value

    def from_planes(self, planes: NDArray[np.int32]) -> NDArray[np.int32]:
        """(images, filters, rows, columns) as the program has it."""
        return planes[0, :, 0, :].T if self.is_dense else planes


def fits_six_bits(values: NDArray[np.int8]) -> bool:
    return values.size == 0 or bool(values.min() >= -32 and values.max() <= 31)


def read_geometry(program: Program, step: Step) -> Geometry:
    """Of a ``conv2d`` or ``dense`` step. Raises `ValueError` if the shapes do not fit."""
    x, w = (program.shapes[number] for number in step.inputs[:2])
    if step.op == "dense":
        if len(x) != 2 or len(w) != 2 or x[1] != w[1]:
            raise ValueError("dense needs (n, k) and (units, k)")
        return Geometry(1, x[1], 1, x[0], w[0], Pair(1, 1))
    groups = step.attributes.get("groups", 1)
    if not isinstance(groups, int) or len(x) != 4 or len(w) != 4 or w[1] * groups != x[1]:
        raise ValueError("conv2d needs (n, c, h, w) and (o, c / groups, kh, kw)")
    return Geometry(
        *x,
        filters=w[0],
        kernel=Pair(w[2], w[3]),
        padding=Pair.of(step, "padding", 0),
        strides=Pair.of(step, "strides", 1),
        dilation=Pair.of(step, "dilation", 1),
        groups=groups,
    )
