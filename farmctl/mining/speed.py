"""How fast a device searches, whatever a graph takes: milliseconds or minutes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

#: Most searches kept; beyond it the window is shorter than asked.
LIMIT = 1000
#: After so many times what the last search took, nothing is known any more.
STALE_FACTOR = 3


@dataclass(frozen=True)
class _Search:
    began: float
    ended: float
    graphs: int


@dataclass
class Speed:
    """Graphs per second over the searches that ended within the window, and at least the last
    one, from the beginning of the first to the end of the last."""

    window_seconds: float = 10.0
    clock: Callable[[], float] = time.monotonic
    _searches: deque[_Search] = field(default_factory=lambda: deque(maxlen=LIMIT))

    def add(self, graphs: int, seconds: float) -> None:
        """Count a search that has just ended."""
        now = self.clock()
        self._searches.append(_Search(now - seconds, now, graphs))

    def forget(self) -> None:
        self._searches.clear()

    def graphs_per_second(self) -> float:
        if not self._searches:
            return 0.0
        now, last = self.clock(), self._searches[-1]
        while self._searches[0] is not last and self._searches[0].ended < now - self.window_seconds:
            self._searches.popleft()
        known = max(self.window_seconds, STALE_FACTOR * (last.ended - last.began))
        if now - last.ended > known:
            return 0.0
        seconds = last.ended - self._searches[0].began
        return sum(search.graphs for search in self._searches) / max(seconds, 1e-3)
