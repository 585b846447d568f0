"""The kinds of layer that a float network is made of.

Shapes hold the batch, as some networks move it to another axis. A layer is named by the ONNX
tensor that it computes, so that the float model's values can be found by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Shape = tuple[int, ...]
#: A function of single elements.
Elementwise = Callable[[Doubles], Doubles]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Window:
    """How a convolution or a pooling moves: one number for each spatial dimension."""

    size: Shape
    strides: Shape
    before: Shape
    """Padding in front."""
    after: Shape
    dilation: Shape
    ceil: bool = False

    @property
    def is_padded(self) -> bool:
        return any(self.before) or any(self.after)


@dataclass(frozen=True)
class Layer:
    """One layer. ``shape`` is its result's, with the batch."""

    kind: ClassVar[str] = "layer"
    name: str
    inputs: tuple[str, ...]
    shape: Shape


@dataclass(frozen=True)
class Identity(Layer):
    kind = "identity"


@dataclass(frozen=True)
class Weighted(Layer):
    """Sums of products with constant weights, plus a bias of one number for each channel."""

    weight: Floats
    bias: Floats | None

    @property
    def channel_axis(self) -> int:
        """Axis of the result along which the bias lies."""
        return 1

    @property
    def channels(self) -> int:
        return self.shape[self.channel_axis]

    def rows(self, values: NDArray[Number]) -> NDArray[Number]:
        """(channels, all else): values of the weight's shape by their output channel."""
        return values.reshape(len(values), -1)

    def spread(self, values: NDArray[Number]) -> NDArray[Number]:
        """One value for each output channel, so that they broadcast against the weight."""
        return values.reshape(-1, *[1] * (self.weight.ndim - 1))


@dataclass(frozen=True)
class Convolution(Weighted):
    """Weight (out, in / groups, *size)."""

    kind = "convolution"
    window: Window
    groups: int


@dataclass(frozen=True)
class Deconvolution(Weighted):
    """Weight (in, out / groups, *size). ``extra`` is added behind the result (output padding)."""

    kind = "deconvolution"
    window: Window
    groups: int
    extra: Shape

    def rows(self, values: NDArray[Number]) -> NDArray[Number]:
        sources, outs, *size = values.shape
        grouped = values.reshape(self.groups, sources // self.groups, outs, *size)
        return np.moveaxis(grouped, 2, 1).reshape(self.groups * outs, -1)

    def spread(self, values: NDArray[Number]) -> NDArray[Number]:
        sources, outs, *size = self.weight.shape
        column = np.repeat(values.reshape(self.groups, 1, outs), sources // self.groups, axis=1)
        return column.reshape(sources, outs, *[1] * len(size))


@dataclass(frozen=True)
class Dense(Weighted):
    """Weight (out, in), along the last axis."""

    kind = "dense"

    @property
    def channel_axis(self) -> int:
        return len(self.shape) - 1


@dataclass(frozen=True)
class Affine(Layer):
    """``x · scale + offset``; both broadcast against the result and have its rank."""

    kind = "affine"
    scale: Floats
    offset: Floats

    @property
    def is_scalar(self) -> bool:
        return self.scale.size == 1 and self.offset.size == 1


@dataclass(frozen=True)
class Rectify(Layer):
    kind = "relu"


@dataclass(frozen=True)
class Clip(Layer):
    kind = "clip"
    low: float
    high: float


@dataclass(frozen=True)
class Slope(Layer):
    """``x`` above 0, ``x · slope`` below; the slope broadcasts and has the result's rank."""

    kind = "prelu"
    slope: Floats


@dataclass(frozen=True)
class Function(Layer):
    """Any function of single elements. ``label`` names it in reports."""

    kind = "function"
    function: Elementwise
    label: str


@dataclass(frozen=True)
class MaxPool(Layer):
    kind = "max pool"
    window: Window


@dataclass(frozen=True)
class AveragePool(Layer):
    """``counts_padding``: divide by the whole window's size at the edges too."""

    kind = "average pool"
    window: Window
    counts_padding: bool


@dataclass(frozen=True)
class Mean(Layer):
    kind = "mean"
    axes: Shape


@dataclass(frozen=True)
class Add(Layer):
    """Of two values; ``signs`` are 1, or −1 for what is subtracted."""

    kind = "add"
    signs: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Multiply(Layer):
    """Of two values, element by element."""

    kind = "multiply"


@dataclass(frozen=True)
class MatrixProduct(Layer):
    """Of two values, over the last two axes."""

    kind = "matrix product"


@dataclass(frozen=True)
class Softmax(Layer):
    """Along the last axis."""

    kind = "softmax"


@dataclass(frozen=True)
class Normalise(Layer):
    """Layer normalisation over the last axis, times ``gamma`` plus ``beta``."""

    kind = "layer norm"
    gamma: Floats
    beta: Floats
    epsilon: float


@dataclass(frozen=True)
class Concatenate(Layer):
    kind = "concatenate"
    axis: int


@dataclass(frozen=True)
class Constant(Layer):
    """A value without inputs."""

    kind = "constant"
    value: Floats


@dataclass(frozen=True)
class Reshape(Layer):
    kind = "reshape"


@dataclass(frozen=True)
class Transpose(Layer):
    kind = "transpose"
    axes: Shape


@dataclass(frozen=True)
class Slice(Layer):
    """``begin`` up to ``end`` by ``stride`` on every axis."""

    kind = "slice"
    begin: Shape
    end: Shape
    stride: Shape


@dataclass(frozen=True)
class Pad(Layer):
    """Zeros around every axis."""

    kind = "pad"
    before: Shape
    after: Shape


@dataclass(frozen=True)
class Upsample(Layer):
    """Spatial sizes times ``factors``; ``linear`` interpolates at half-pixel centres."""

    kind = "upsample"
    factors: Shape
    linear: bool


@dataclass(frozen=True)
class Embed(Layer):
    """Rows of ``table`` by integer input."""

    kind = "embedding"
    table: Floats
