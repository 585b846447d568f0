"""What is done to single elements, in few kinds of steps whose order can be reasoned about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from drivers.kernels.infer.intervals import HIGHEST, LOWEST, Interval, Wide

MOST_SHIFT = 31


@dataclass(frozen=True)
class Shift:
    """(x + half) >> bits."""

    half: int
    bits: int

    def apply(self, x: Wide) -> Wide:
        return (x + self.half) >> self.bits

    def bound(self, x: Interval) -> Interval:
        return Interval(self.apply(x.low), self.apply(x.high))


@dataclass(frozen=True)
class Clip:
    low: int = LOWEST
    high: int = HIGHEST

    def apply(self, x: Wide) -> Wide:
        return np.clip(x, self.low, self.high)

    def bound(self, x: Interval) -> Interval:
        return Interval(self.apply(x.low), self.apply(x.high))


@dataclass(frozen=True)
class Multiply:
    """By one number, or one a channel."""

    factor: Wide

    def apply(self, x: Wide) -> Wide:
        return x * self.factor

    def bound(self, x: Interval) -> Interval:
        return x.multiply(self.factor)


@dataclass(frozen=True)
class Offset:
    """Add one number, or one a channel."""

    amount: Wide

    def apply(self, x: Wide) -> Wide:
        return x + self.amount

    def bound(self, x: Interval) -> Interval:
        return Interval(x.low + self.amount, x.high + self.amount)


@dataclass(frozen=True)
class Map:
    """Any function of one element."""

    function: Callable[[Wide], Wide]
    result: Callable[[Interval], Interval]

    def apply(self, x: Wide) -> Wide:
        return self.function(x)

    def bound(self, x: Interval) -> Interval:
        return self.result(x)


Primitive = Shift | Clip | Multiply | Offset | Map
Chain = tuple[Primitive, ...]


def bound_chain(chain: Sequence[Primitive], x: Interval) -> Interval:
    for primitive in chain:
        x = primitive.bound(x)
    return x


def apply_chain(chain: Sequence[Primitive], x: Wide) -> Wide:
    for primitive in chain:
        x = primitive.apply(x)
    return x


def is_uniform(chain: Sequence[Primitive]) -> bool:
    """Whether every channel is treated alike."""
    return all(_numbers(primitive) == 1 for primitive in chain)


def _numbers(primitive: Primitive) -> int:
    if isinstance(primitive, Multiply):
        return primitive.factor.size
    return primitive.amount.size if isinstance(primitive, Offset) else 1


def simplify(chain: Sequence[Primitive], x: Interval) -> Chain:
    """The same chain, shorter: what changes nothing between ``x``'s bounds is left out, and
    neighbours are joined."""
    found: list[Primitive] = []
    bounds = [x]
    for primitive in chain:
        joined: Primitive | None = primitive
        while joined is not None and found:
            pair = _join(found[-1], joined)
            if pair is None:
                break
            found.pop()
            bounds.pop()
            *first, joined = pair
            for each in first:
                found.append(each)
                bounds.append(each.bound(bounds[-1]))
            if first:
                break
        if joined is not None and not _changes_nothing(joined, bounds[-1]):
            found.append(joined)
            bounds.append(joined.bound(bounds[-1]))
    return tuple(found)


def _join(first: Primitive, second: Primitive) -> tuple[Primitive, ...] | None:
    """One or two primitives equal to ``first`` and then ``second``, in a better order."""
    match first, second:
        case Clip(), Clip():
            low, high = (int(np.clip(b, second.low, second.high)) for b in (first.low, first.high))
            return (Clip(low, high),)
        case Clip(), Shift():  # a shift keeps the order
            low, high = (int((b + second.half) >> second.bits) for b in (first.low, first.high))
            return (second, Clip(low, high))
        case Multiply(), Multiply() if _is_word(product := first.factor * second.factor):
            return (Multiply(product),)
        case Offset(), Offset() if _is_word(total := first.amount + second.amount):
            return (Offset(total),)
        case Shift(), Shift() if first.bits + second.bits <= MOST_SHIFT:
            half = first.half + (second.half << first.bits)
            return (Shift(half, first.bits + second.bits),)
        case Offset(), Multiply() if _is_word(product := first.amount * second.factor):
            return (Multiply(second.factor), Offset(product))
    return None


def _is_word(numbers: Wide) -> bool:
    return bool((abs(numbers) <= HIGHEST).all())


def _changes_nothing(primitive: Primitive, x: Interval) -> bool:
    match primitive:
        case Clip():
            return x.lies_in(primitive.low, primitive.high)
        case Multiply():
            return bool((primitive.factor == 1).all())
        case Offset():
            return bool((primitive.amount == 0).all())
        case Shift():
            return primitive == Shift(0, 0)
    return False
