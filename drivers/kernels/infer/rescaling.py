"""Chains of primitives as the one rescaling that a layer can do, with the proof that it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivers.kernels.infer.intervals import HIGHEST, LOWEST, Interval, Wide
from drivers.kernels.infer.layers import Rescale, Residual
from drivers.kernels.infer.primitives import MOST_SHIFT, Clip, Multiply, Offset, Primitive, Shift

_NONE = np.zeros(1, np.int64)
_ONE = np.ones(1, np.int64)


@dataclass(frozen=True)
class Matched:
    """A rescaling and the bounds of what it gives. ``bias`` is to be added to the sums first."""

    rescale: Rescale
    bias: Wide
    bounds: Interval


def match_rescale(
    chain: Sequence[Primitive], sums: Interval, takes_bias: bool = False
) -> Matched | None:
    """The rescaling equal to a simplified chain; None where there is none, or where a sum or
    product on the way may pass 32 bits. ``takes_bias`` is of sums that begin at a bias."""
    for has_first_stage in (False, True):
        found = _Reader(chain, sums, takes_bias).read(has_first_stage)
        if found:
            return found
    return None


class _Reader:
    """Takes a chain apart from its front, following the bounds."""

    def __init__(self, chain: Sequence[Primitive], sums: Interval, takes_bias: bool) -> None:
        self.left = list(chain)
        self.bounds = sums
        self.fits = True
        self.takes_bias = takes_bias

    def read(self, has_first_stage: bool) -> Matched | None:
        bias = _NONE
        if self.takes_bias:
            bias = self._take_offset()
        pre_half, pre_shift, pre_clip = 0, 0, Clip()
        if has_first_stage:
            pre_half, pre_shift = self._take_first_shift()
            pre_clip = self._take_clip()
        multiplier = self._take_multiplier()
        offset, shift = self._take_last_shift()
        clip = self._take_clip()
        if self.left or not self.fits:
            return None
        rescale = Rescale(
            pre_half=pre_half,
            pre_shift=pre_shift,
            pre_low=pre_clip.low,
            pre_high=pre_clip.high,
            multiplier=multiplier.astype(np.int32),
            offset=offset.astype(np.int32),
            shift=shift,
            low=max(clip.low, self.bounds.lowest),
            high=min(clip.high, self.bounds.highest),
        )
        return Matched(rescale, bias, self.bounds)

    def _advance(self, primitive: Primitive) -> None:
        self.bounds = primitive.bound(self.bounds)
        self.fits = self.fits and self.bounds.fits_words

    def _take_offset(self) -> Wide:
        if not self.left or not isinstance(offset := self.left[0], Offset):
            return _NONE
        self.left.pop(0)
        self._advance(offset)
        return offset.amount

    def _take_first_shift(self) -> tuple[int, int]:
        offset = self._take_offset()
        shift = self._take_shift()
        self._advance(Offset(np.array([shift.half], np.int64)))
        self._advance(Shift(0, shift.bits))
        half = int(offset[0]) + shift.half
        self.fits = self.fits and offset.size == 1 and abs(half) <= HIGHEST
        return half, shift.bits

    def _take_shift(self) -> Shift:
        if not self.left or not isinstance(shift := self.left[0], Shift):
            return Shift(0, 0)
        self.left.pop(0)
        self.fits = self.fits and shift.bits <= MOST_SHIFT
        return shift

    def _take_clip(self) -> Clip:
        if not self.left or not isinstance(clip := self.left[0], Clip):
            return Clip()
        self.left.pop(0)
        self._advance(clip)
        return clip

    def _take_multiplier(self) -> Wide:
        if not self.left or not isinstance(multiply := self.left[0], Multiply):
            return _ONE
        self.left.pop(0)
        self._advance(multiply)
        return multiply.factor

    def _take_last_shift(self) -> tuple[Wide, int]:
        before = self._take_offset()
        shift = self._take_shift()
        self._advance(Offset(np.array([shift.half], np.int64)))
        self._advance(Shift(0, shift.bits))
        offset: Wide = before + shift.half
        self.fits = self.fits and bool((abs(offset) <= HIGHEST).all())
        return offset, shift.bits


@dataclass(frozen=True)
class Addend:
    """One side of an addition: its value times a factor."""

    bounds: Interval
    factor: int

    @property
    def product(self) -> Interval:
        return self.bounds.over_all().multiply(np.array([self.factor], np.int64))


def match_residual(
    own: Addend, theirs: Addend, chain: Sequence[Primitive], half: int, other: int
) -> tuple[Residual, Interval] | None:
    """The addition of two values and then a chain, if one layer can do it within 32 bits.
    ``half`` is added besides; ``other`` is the tensor of ``theirs``."""
    left = list(chain)
    if left and isinstance(left[0], Offset) and left[0].amount.size == 1:
        half += int(left.pop(0).amount[0])  # type: ignore[union-attr]
    shift = left.pop(0) if left and isinstance(left[0], Shift) else Shift(0, 0)
    clip = left.pop(0) if left and isinstance(left[0], Clip) else Clip()
    assert isinstance(shift, Shift) and isinstance(clip, Clip)
    half += shift.half
    total = own.product.add(theirs.product)
    rounded = total.add(Interval.of(half, half))
    steps = (own.product, theirs.product, total, rounded, Interval.of(half, half))
    if left or shift.bits > MOST_SHIFT or not all(each.fits_words for each in steps):
        return None
    bounds = clip.bound(Shift(0, shift.bits).bound(rounded))
    low, high = max(clip.low, bounds.lowest), min(clip.high, bounds.highest)
    residual = Residual(other, own.factor, theirs.factor, half, shift.bits, low, high)
    return residual, bounds


def identity() -> Rescale:
    """Changes nothing."""
    return Rescale(
        0, 0, LOWEST, HIGHEST, np.ones(1, np.int32), np.zeros(1, np.int32), 0, LOWEST, HIGHEST
    )
