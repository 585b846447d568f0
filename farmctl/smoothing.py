"""Exponential smoothing of what is measured again and again."""

from __future__ import annotations


def smooth(before: float | None, new: float, weight: float = 0.3) -> float:
    """The average with a new measurement, which has that weight; the first has all of it."""
    return new if before is None else before + weight * (new - before)
