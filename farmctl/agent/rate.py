"""A rate over the last seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: Most moments kept; beyond it the window is shorter than asked.
LIMIT = 10_000


@dataclass
class Rate:
    """Counts per second over a sliding window."""

    window_seconds: float = 10.0
    clock: Callable[[], float] = time.monotonic
    _counts: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=LIMIT))
    _began: float | None = None

    def add(self, count: float, seconds: float = 0.0) -> None:
        """Count what was just done; ``seconds`` is how long the first of it took."""
        now = self.clock()
        if self._began is None:
            self._began = now - seconds
        self._counts.append((now, count))

    def per_second(self) -> float:
        now = self.clock()
        while self._counts and self._counts[0][0] < now - self.window_seconds:
            self._counts.popleft()
        if self._began is None or not self._counts:
            return 0.0
        return sum(count for _, count in self._counts) / max(
            min(self.window_seconds, now - self._began), 0.001
        )


def with_energy(values: Mapping[str, float]) -> dict[str, float]:
    """Readings of a device, and with them the energy of a graph where both of its parts are
    there: ``power_watts`` and a rate of mining."""
    power, rate = values.get("power_watts"), values.get("graphs_per_second")
    if power is None or not rate:
        return dict(values)
    return {**values, "joules_per_graph": power / rate}
