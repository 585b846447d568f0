"""The float network between ONNX and the integer graph: few layers, batch left open."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pair = tuple[int, int]


class Kind(StrEnum):
    CONVOLUTION = "convolution"
    DENSE = "dense"
    RELU = "relu"
    CLIP = "clip"
    MAX_POOL = "max pool"
    AVERAGE_POOL = "average pool"
    GLOBAL_AVERAGE = "global average"
    ADD = "add"
    CONCATENATE = "concatenate"
    RESHAPE = "reshape"


@dataclass(frozen=True)
class Window:
    """How a convolution or a pooling moves: (height, width) each."""

    size: Pair
    strides: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False


@dataclass(frozen=True)
class Layer:
    """One layer. ``name`` is the ONNX tensor that it computes."""

    kind: Kind
    name: str
    inputs: tuple[str, ...]
    weight: Floats | None = None
    """Convolution (out, in/groups, height, width), dense (out, in)."""
    bias: Floats | None = None
    window: Window | None = None
    groups: int = 1
    bounds: tuple[float, float] = (0.0, 0.0)
    """Of a clip."""
    axis: int = 1
    """Of a concatenation."""
    shape: tuple[int, ...] = ()
    """Of a reshape's result, without the batch."""


@dataclass(frozen=True)
class Network:
    """Layers in order of execution. ``input_shape`` is without the batch."""

    input_name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    consumers: dict[str, int] = field(default_factory=dict)
    """How many layers (and outputs) read each tensor."""

    def sole_reader(self, name: str) -> Layer | None:
        """The layer that alone reads a tensor, or None if there are others."""
        if self.consumers.get(name) != 1:
            return None
        return next((layer for layer in self.layers if name in layer.inputs), None)
