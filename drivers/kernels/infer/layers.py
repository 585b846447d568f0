"""The layers that inference kernels compute: the one form between programs and every family.

A `drivers.program.Program` speaks of int32 tensors and one small operator at a time. Fusing turns
it into a `Plan` of few large layers over bytes, with every bound proved, so that a kernel of any
family needs neither overflow checks nor saturation: **all sums and products of a layer fit int32**
for every input that the bounds allow. What no layer covers stays a `General` step.

Arithmetic: shifts are arithmetic (floor); nothing wraps, nothing is float.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from drivers.program import Step

Words = NDArray[np.int32]
Pair = tuple[int, int]


class Form(StrEnum):
    """How a tensor lies in memory.

    BYTES: uint8, (n, h, w, c) with the channels innermost; value = byte − `Tensor.zero`. Families
    pad the channels as their kernels want it; the bytes of padding channels mean nothing, as the
    weights that meet them are 0.
    WORDS: int32, row-major in the program's own shape.
    """

    BYTES = "bytes"
    WORDS = "words"


@dataclass(frozen=True)
class Tensor:
    """A value. ``shape`` is the program's: (n, c, h, w) or fewer dimensions; as BYTES (n, c) is
    taken for (n, c, 1, 1). ``low`` and ``high`` bound every element; they are proved."""

    shape: tuple[int, ...]
    form: Form
    low: int
    high: int

    @property
    def zero(self) -> int:
        """The byte that stands for 0: also what surrounds a padded image."""
        return 128 if self.low < 0 else 0


@dataclass(frozen=True)
class Rescale:
    """Brings a sum to its result, for channel c:
    ``clip((clip((x + pre_half) >> pre_shift, pre_low, pre_high) · multiplier[c] + offset[c])
    >> shift, low, high)``.

    ``multiplier`` and ``offset`` have one element a channel, or one for all. Half up is an offset
    of 2^(shift−1).
    """

    pre_half: int
    pre_shift: int
    pre_low: int
    pre_high: int
    multiplier: Words
    offset: Words
    shift: int
    low: int
    high: int


@dataclass(frozen=True)
class Residual:
    """Adds another tensor of the same shape after a rescaling:
    ``clip((x · own + other · theirs + half) >> shift, low, high)``."""

    other: int
    """Tensor number."""
    own: int
    theirs: int
    half: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True)
class Window:
    """How a kernel moves; (rows, columns) each. ``padding`` is (top, left, bottom, right)."""

    size: Pair
    strides: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)


@dataclass(frozen=True)
class Convolution:
    """Sums of products of BYTES, plus a bias. A dense layer is a convolution whose window covers
    its whole input. Without ``rescale`` the target is WORDS."""

    source: int
    target: int
    weight: NDArray[np.int8]
    """(out, in / groups, rows, columns)."""
    bias: Words
    """(out)."""
    window: Window
    groups: int
    rescale: Rescale | None
    residual: Residual | None = None


class PoolKind(StrEnum):
    LARGEST = "largest"
    """Maximum; padding never wins."""
    SUM = "sum"
    """Sum with zeros as padding, then the rescaling: an average."""


@dataclass(frozen=True)
class Pool:
    """Of BYTES, each channel for itself."""

    source: int
    target: int
    kind: PoolKind
    window: Window
    rescale: Rescale | None = None
    """Of a sum; a sum without one has a WORDS target."""


@dataclass(frozen=True)
class Add:
    """Of BYTES: ``residual`` applied to the source, element by element."""

    source: int
    target: int
    residual: Residual


@dataclass(frozen=True)
class Scale:
    """Of BYTES: ``rescale`` applied to each element."""

    source: int
    target: int
    rescale: Rescale


@dataclass(frozen=True)
class Lookup:
    """Of BYTES: ``table[byte]`` for each element, ``byte`` as it lies in memory and likewise the
    result's."""

    source: int
    target: int
    table: NDArray[np.uint8]
    """(256)."""


@dataclass(frozen=True)
class Concatenate:
    """Of BYTES along the channels. A family may let the parts' producers write into the target."""

    sources: tuple[int, ...]
    target: int


@dataclass(frozen=True)
class Convert:
    """The same values in the target's form, and in its shape: as WORDS the elements keep their
    row-major order, (n, c, h, w) for BYTES. So flattening costs nothing of its own."""

    source: int
    target: int


@dataclass(frozen=True)
class General:
    """A program's step on WORDS, as `drivers.program` defines it. The numbers in the step are
    tensor numbers of the plan."""

    step: Step


Layer = Convolution | Pool | Add | Scale | Lookup | Concatenate | Convert | General


@dataclass(frozen=True)
class Plan:
    """A fused program. ``tensors`` is indexed by tensor number; number 0 is the input as WORDS;
    ``constants`` are those that general steps still read. Heads are WORDS."""

    tensors: tuple[Tensor, ...]
    constants: dict[int, Words]
    layers: tuple[Layer, ...]
    heads: tuple[int, ...]
