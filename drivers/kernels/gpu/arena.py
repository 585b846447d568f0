"""Room for the trimmer's lists, laid out before anything runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arena:
    """``taken`` are the intervals in use, ascending and apart; ``peak`` is the highest end ever
    in use. Units are edges. Every change gives a new arena, so that a plan can try its ways."""

    limit: int
    taken: tuple[tuple[int, int], ...] = ()
    peak: int = 0

    def allocate(self, size: int) -> tuple[Arena, int] | None:
        """The arena with the first gap that is large enough taken, and where it begins."""
        start = 0
        for number, (begin, end) in enumerate((*self.taken, (self.limit, self.limit))):
            if begin - start >= size:
                added = (start, start + size)
                taken = (*self.taken[:number], added, *self.taken[number:])
                return Arena(self.limit, taken, max(self.peak, start + size)), start
            start = end
        return None

    def release(self, begin: int, end: int) -> Arena:
        """The arena without what is taken of an interval."""
        left = [
            piece
            for a, b in self.taken
            for piece in ((a, min(b, begin)), (max(a, end), b))
            if piece[0] < piece[1]
        ]
        return Arena(self.limit, tuple(left), self.peak)
