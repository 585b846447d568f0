"""What a session asks of whatever computes layers: the Verilog core, or an OpenCL binary."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.fpga.core_registers import Counters
from drivers.fpga.layers import Layer


class EngineLayer(Protocol):
    """A layer whose constants are on the board."""

    layer: Layer
    counters: Counters | None
    """Of the last run, where the board counts."""

    def run(self, value: NDArray[np.int32]) -> NDArray[np.int32]:
        """The layer's output for an input that fits its number of bits."""
        ...

    def free(self) -> None: ...


class Engine(Protocol):
    def load(self, layer: Layer) -> EngineLayer | None:
        """None where the layer does not fit the board at all."""
        ...

    def close(self) -> None: ...
