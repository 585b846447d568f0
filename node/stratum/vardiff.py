"""The difficulty of a miner's shares, so that they come at the wanted pace.

A difficulty belongs to the jobs it was sent with: it changes only when a new template goes out,
so every share is judged by the target that its job named.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Measured over so many shares or so long, whatever comes first.
MEASURED_SHARES = 12
MEASURED_SECONDS = 60.0
MAX_STEP = 4.0
#: A change smaller than this ratio is not worth it.
TOLERANCE = 1.5
MAX_KEPT = 8


@dataclass(slots=True)
class Vardiff:
    share_seconds: float
    minimum: int
    began: float
    shares: int = 0
    work: int = 0
    kept: list[tuple[int, int]] = field(default_factory=list)
    """Number of the first template, and the difficulty from it on."""

    def difficulty(self) -> int:
        return self.kept[-1][1] if self.kept else self.minimum

    def difficulty_at(self, template: int) -> int:
        """What a template of that number was sent with."""
        for first, difficulty in reversed(self.kept):
            if first <= template:
                return difficulty
        return self.minimum

    def note(self, difficulty: int) -> None:
        """Count a valid share."""
        self.shares += 1
        self.work += difficulty

    def choose(self, template: int, ceiling: int, now: float) -> int:
        """The difficulty to send a template with; no share need be harder than a block."""
        before = self.difficulty()
        if self.kept and self.kept[-1][0] >= template:
            return before
        wanted = max(1, min(max(self.minimum, self._wanted(now)), ceiling))
        if wanted != before:
            self.kept.append((template, wanted))
            del self.kept[:-MAX_KEPT]
        return wanted

    def _wanted(self, now: float) -> int:
        before, seconds = self.difficulty(), now - self.began
        if self.shares < MEASURED_SHARES and seconds < MEASURED_SECONDS:
            return before
        ratio = self.work / max(seconds, 1e-3) * self.share_seconds / before
        self.began, self.shares, self.work = now, 0, 0
        if 1 / TOLERANCE < ratio < TOLERANCE:
            return before
        return max(1, round(before * min(MAX_STEP, max(1 / MAX_STEP, ratio))))
