"""How a value comes about: a root that a layer computes, and what is then done to each element."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drivers.kernels.infer.geometry import Shape
from drivers.kernels.infer.intervals import HIGHEST, Interval, Wide
from drivers.kernels.infer.layers import Rescale, Window, Words
from drivers.kernels.infer.primitives import Chain, Primitive, bound_chain, simplify
from drivers.kernels.infer.rescaling import Addend


@dataclass(frozen=True)
class Stored:
    """A BYTES tensor that is there."""

    tensor: int


@dataclass(frozen=True)
class Weighted:
    """Sums of a convolution or dense layer."""

    source: int
    weight: NDArray[np.int8]
    bias: Words
    window: Window
    groups: int

    def with_bias(self, amount: Wide) -> Weighted | None:
        """The same sums plus one number a channel; None if 32 bits do not hold their bias."""
        total = self.bias.astype(np.int64) + amount
        if (abs(total) > HIGHEST).any():
            return None
        return replace(self, bias=total.astype(np.int32))


@dataclass(frozen=True)
class Totals:
    """Sums of each channel over a window."""

    source: int
    window: Window


@dataclass(frozen=True)
class Rescaled:
    """A weighted root brought to a value of its own, which nobody else reads."""

    root: Weighted
    rescale: Rescale


@dataclass(frozen=True)
class Joint:
    """own · its factor + theirs · its factor + half. ``own`` is a tensor, or sums that no
    tensor holds yet."""

    own: Rescaled | int
    theirs: int
    """Tensor number."""
    addends: tuple[Addend, Addend]
    """What ``own`` and ``theirs`` add."""
    half: int


Root = Stored | Weighted | Totals | Joint


@dataclass(frozen=True)
class Recipe:
    """``shape`` is the root's; ``bounds`` are those of the root's values; ``depth`` counts the
    steps since the root."""

    root: Root
    chain: Chain
    shape: Shape
    bounds: Interval
    depth: int = 0

    def then(self, chain: tuple[Primitive, ...]) -> Recipe:
        longer = simplify((*self.chain, *chain), self.bounds)
        return Recipe(self.root, longer, self.shape, self.bounds, self.depth + 1)

    def cut(self, length: int) -> Recipe:
        """Without what follows the first ``length`` primitives."""
        return replace(self, chain=self.chain[:length])

    def bounds_after(self, length: int) -> Interval:
        return bound_chain(self.chain[:length], self.bounds)

    @property
    def result(self) -> Interval:
        return self.bounds_after(len(self.chain))
