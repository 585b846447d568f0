"""Nonces that no other device searches for the same work, without anyone handing out ranges.

Each time a device takes up a piece of work it draws a start from all 2^64 nonces and counts up
from there, past the end to 0. Two stretches of at most k graphs overlap with probability below
2k / 2^64, so of m stretches for one piece of work any two do below m² k / 2^64. Ten thousand
devices that each take the same work up ten times (m = 10^5), with 2^16 graphs a stretch (an hour
of 18 graphs/s): 4e-5 a piece of work. What an overlap costs is the graphs searched twice; a
solution found twice is taken once. As every stretch begins anew, neither a pause, nor work that
comes back, nor a second session on the same device can repeat what was searched before, and no
stretch ends before all nonces were used.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

NONCE_BITS = 64
END = 1 << NONCE_BITS


def draw() -> int:
    return secrets.randbits(NONCE_BITS)


class Stretch:
    """The nonces of one device for one piece of work."""

    def __init__(self, draw: Callable[[], int] = draw) -> None:
        self._next = draw()

    def take(self, graphs: int) -> tuple[int, int]:
        """First nonce and number of the next graphs to search: fewer where they would pass
        the last nonce."""
        return self._next, min(graphs, END - self._next)

    def advance(self, graphs: int) -> None:
        """So many of those taken were searched."""
        self._next = (self._next + graphs) % END
