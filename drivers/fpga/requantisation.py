"""What the core does to each sum before it is stored: a rounding shift, then a clamp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.program import Attribute, Step

INT32 = (-(2**31), 2**31 - 1)
MOST_SHIFT_BITS = 30


@dataclass(frozen=True)
class Requantisation:
    """y = clamp(((x >> (b−1)) + 1) >> 1, lowest, highest); no shift where b is 0."""

    shift_bits: int = 0
    lowest: int = INT32[0]
    highest: int = INT32[1]

    @property
    def is_wide(self) -> bool:
        """Whether results need int32 rather than int8."""
        return self.lowest < -128 or self.highest > 127

    def then(self, step: Step) -> Requantisation | None:
        """This and an element-wise step after it in one, where one can hold both."""
        match step.op:
            case "relu":
                return self._clamped(0, INT32[1])
            case "clip":
                return self._clamped(_integer(step, "a_min"), _integer(step, "a_max"))
            case "cvm_clip":
                bound = _bound(_integer(step, "precision"))
                return self._clamped(-bound, bound)
            case "cvm_right_shift":
                return self._shifted(_integer(step, "precision"), _integer(step, "shift_bit"))
        return None

    def apply(self, sums: NDArray[np.int32]) -> NDArray[np.int32]:
        """The same on the host, for sums that were made in parts. Shape and type are kept."""
        with np.errstate(over="ignore"):
            return np.clip(_shift(sums, self.shift_bits), self.lowest, self.highest)

    def _clamped(self, lowest: int, highest: int) -> Requantisation:
        low, high = (min(max(x, lowest), highest) for x in (self.lowest, self.highest))
        return Requantisation(self.shift_bits, low, high)

    def _shifted(self, precision: int, bits: int) -> Requantisation | None:
        """The corners of ``cvm_right_shift`` (31 bits and more) are the host's."""
        if self.shift_bits or not 1 <= bits <= MOST_SHIFT_BITS:
            return None
        # Shifting keeps the order, so a clamp before it is one after it.
        low, high = (int(_shift(np.int32(x), bits)) for x in (self.lowest, self.highest))
        shifted = Requantisation(bits, low, high)
        bound = _bound(precision)
        return shifted if bound and precision + bits >= 32 else shifted._clamped(-bound, bound)


def _shift(sums: NDArray[np.int32] | np.int32, bits: int) -> NDArray[np.int32]:
    if not bits:
        return np.asarray(sums)
    return np.asarray(((np.asarray(sums) >> np.int32(bits - 1)) + np.int32(1)) >> np.int32(1))


def _integer(step: Step, name: str) -> int:
    value: Attribute | None = step.attributes.get(name)
    if not isinstance(value, int):
        raise ValueError(f"{step.op} needs the number {name}")
    return value


def _bound(precision: int) -> int:
    return int(2 ** (precision - 1)) - 1
