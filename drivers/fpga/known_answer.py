"""What a board must answer before it may work: one small layer of each kind of arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.errors import SelfTestFailed
from drivers.fpga.engine import Engine
from drivers.fpga.layers import Geometry, Layer, Pair
from drivers.fpga.requantisation import Requantisation
from drivers.program import Step

#: (features and weights packed to six bits, requantisation, checksum of the answer). The
#: checksum is that of the layer computed from its definition (the tests do so).
CASES = (
    (False, Requantisation(), 938_373),
    (False, Requantisation(7, 0, 127), 678_874),
    (True, Requantisation(4, -31, 31), 118_856),
)


def prove_engine(engine: Engine) -> None:
    """Raises `SelfTestFailed` if an answer is wrong."""
    for is_packed, requantisation, expected in CASES:
        loaded = engine.load(known_layer(is_packed, requantisation))
        if loaded is None:
            raise SelfTestFailed("the board's buffers are too small for the known layer")
        answer = loaded.run(known_input(is_packed))
        loaded.free()
        if (found := checksum(answer)) != expected:
            kind = "int6" if is_packed else "int8"
            raise SelfTestFailed(f"the board's {kind} layer sums to {found}, not {expected}")


def known_layer(is_packed: bool, requantisation: Requantisation) -> Layer:
    """conv2d 3×3 of 3 channels into 20 over 5×7, padded by one."""
    bound = 31 if is_packed else 127
    return Layer(
        step=Step("conv2d", (0, 1, 2), (3,), {"padding": (1, 1)}),
        fused=(),
        geometry=Geometry(1, 3, 5, 7, 20, Pair(3, 3), padding=Pair(1, 1)),
        weights=_spread((20, 3, 3, 3), bound).astype(np.int8),
        bias=_spread((20,), 30_000),
        requantisation=requantisation,
        packs_features=is_packed,
    )


def known_input(is_packed: bool) -> NDArray[np.int32]:
    return _spread((1, 3, 5, 7), 31 if is_packed else 127)


def checksum(answer: NDArray[np.int32]) -> int:
    """Of every element and its place, modulo a prime."""
    weights = np.arange(1, answer.size + 1, dtype=np.int64)
    return int((answer.reshape(-1).astype(np.int64) * weights % 1_000_003).sum() % 1_000_003)


def _spread(shape: tuple[int, ...], bound: int) -> NDArray[np.int32]:
    """Numbers from −bound to bound in a fixed order without pattern, both ends among them."""
    count = np.arange(1, int(np.prod(shape)) + 1, dtype=np.int64)
    values = count * count * 7919 % (2 * bound + 1) - bound
    values[:2] = -bound, bound
    return values.astype(np.int32).reshape(shape)
