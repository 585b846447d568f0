"""An integer tensor program: what a device runs for INFER.

It is the neutral form between a chain's model format (lowered by the chain's own code) and the
devices. All tensors are int32; the arithmetic of each operator is that of the Cortex Virtual
Machine (cortex-protocol §5), to the bit, or that of docs/operators.md for the extension operators.
Operators are named as there: ``conv2d``, ``dense``, ``cvm_clip``, ``requantise`` …
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: An attribute is an integer, a flag (0/1) or a tuple of integers; never a float or a string.
Attribute = int | tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One operator. Values are numbered: 0 is the input, then parameters, then each step's
    outputs in order of execution."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Program:
    """A whole model.

    ``shapes`` and ``precisions`` are indexed by value number; precision p bounds a value by
    ±(2^(p−1)−1). ``parameters`` holds the constant values by number.
    """

    shapes: tuple[tuple[int, ...], ...]
    precisions: tuple[int, ...]
    parameters: Mapping[int, NDArray[np.int32]]
    steps: tuple[Step, ...]
    heads: tuple[int, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shapes[0]

    @property
    def parameter_bytes(self) -> int:
        return sum(p.nbytes for p in self.parameters.values())
