"""Random draws of a model under construction: numbers, extreme values, operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from node.spec.cvm.operators.operator import Shape
from node.spec.cvm.writer import Entry, ModelWriter

Words = NDArray[np.int32]
Item = TypeVar("Item")

#: More elements than this no operator may make.
MOST_ELEMENTS = 1 << 14


class Unfit(Exception):
    """The drawn operator does not go with the drawn value; another is drawn."""


class Drawing:
    """A model being drawn; the same seed draws the same."""

    def __init__(self, seed: Sequence[int], *, extended: bool) -> None:
        self.random = np.random.default_rng(seed)
        self.extended = extended
        self.writer = ModelWriter(extended=extended)
        self.made: list[tuple[str, Entry]] = []
        """Operators' outputs in order, each by its operator's name."""
        self._count = 0

    def number(self, low: int, high: int) -> int:
        """Within the bounds, each of which is likely."""
        if self.random.random() < 0.2:
            return low if self.random.random() < 0.5 else high
        return int(self.random.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.random.integers(len(items)))]

    def size(self) -> int:
        """A length: mostly small, odd or just off a vector's."""
        return self.pick((1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 70))

    def add(self, operator: str, *inputs: Entry, **attributes: object) -> Entry:
        """Raises `Unfit` for a result that is too large, `CvmLoadError` for one not allowed."""
        self._count += 1
        entry = self.writer.add(operator, f"{operator}_{self._count}", inputs, **attributes)
        if entry.size > MOST_ELEMENTS:
            raise Unfit(f"{operator} makes {entry.size} elements")
        self.made.append((operator, entry))
        return entry

    def parameter(self, shape: Shape, precision: int, low: int | None = None) -> Entry:
        """A constant; ``low`` bounds it below, else it is symmetric."""
        limit = (1 << (precision - 1)) - 1
        values = self.values(shape, -limit if low is None else low, limit)
        return self.constant(values, precision)

    def constant(self, values: Words, precision: int) -> Entry:
        self._count += 1
        return self.writer.add_parameter(f"parameter_{self._count}", values, precision)

    def values(self, shape: Shape, low: int, high: int) -> Words:
        """Elements within the bounds: all alike, only ends, sparse, narrow, or anything."""
        style = int(self.random.integers(6))
        uniform = self.random.integers(low, high + 1, shape, dtype=np.int64)
        if style == 0:
            uniform = np.full(shape, self.pick((low, high, min(max(0, low), high))))
        elif style == 1:
            uniform = np.where(self.random.random(shape) < 0.5, low, high)
        elif style == 2:
            uniform = np.where(self.random.random(shape) < 0.9, min(max(0, low), high), uniform)
        elif style == 3:
            uniform = np.clip(self.random.integers(-3, 4, shape), low, high)
        return uniform.astype(np.int32)

    def narrow(self, x: Entry, bits: int) -> Entry:
        """The value in at most so many bits."""
        if x.precision <= bits:
            return x
        if self.chance(0.5):
            return self.add("cvm_clip", x, precision=bits)
        shift = max(1, x.precision - self.number(bits - 2, bits))
        return self.add("cvm_right_shift", x, precision=bits, shift_bit=shift)
