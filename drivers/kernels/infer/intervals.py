"""Proved bounds of a value: the lowest and highest that each channel can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Wide = NDArray[np.int64]

LOWEST, HIGHEST = -(2**31), 2**31 - 1


@dataclass(frozen=True)
class Interval:
    """``low`` and ``high`` have one element a channel (axis 1 of the value), or one for all."""

    low: Wide
    high: Wide

    @classmethod
    def of(cls, low: int, high: int) -> Self:
        return cls(np.array([low], np.int64), np.array([high], np.int64))

    @classmethod
    def of_precision(cls, precision: int) -> Self:
        bound = int(2 ** (precision - 1)) - 1
        return cls.of(-bound, bound)

    @property
    def lowest(self) -> int:
        return int(self.low.min())

    @property
    def highest(self) -> int:
        return int(self.high.max())

    @property
    def fits_words(self) -> bool:
        return self.lies_in(LOWEST, HIGHEST)

    @property
    def fits_bytes(self) -> bool:
        """Whether a byte with a zero of 0 or 128 holds every value."""
        return self.lies_in(0, 255) or self.lies_in(-128, 127)

    def over_all(self) -> Interval:
        """One bound for all channels."""
        return Interval.of(self.lowest, self.highest)

    def add(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def multiply(self, factor: Wide) -> Interval:
        one, other = self.low * factor, self.high * factor
        return Interval(np.minimum(one, other), np.maximum(one, other))

    def product(self, other: Interval) -> Interval:
        """Of two values of which nothing else is known."""
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(np.minimum.reduce(ends), np.maximum.reduce(ends))

    def union(self, other: Interval) -> Interval:
        low, high = min(self.lowest, other.lowest), max(self.highest, other.highest)
        return Interval.of(low, high)

    def lies_in(self, low: int, high: int) -> bool:
        """Whether every value is one of low … high."""
        return low <= self.lowest and self.highest <= high
