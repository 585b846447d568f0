"""How long the last requests took."""

from __future__ import annotations

from collections import deque

#: Requests behind the times that are shown.
RECENT = 2048


class Latencies:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=RECENT)

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)

    def milliseconds(self, share: float) -> float | None:
        """Within which that share of them was answered, to the microsecond; None before the
        first."""
        ordered = sorted(self._seconds)
        if not ordered:
            return None
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)
