"""The ladder: what is done about a device's faults, the gentlest first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


class Step(StrEnum):
    RESTART_SESSION = "restart_session"
    RESTART_RUNNER = "restart_runner"
    QUARANTINE = "quarantine"


def fault_code(error: Exception) -> str:
    """``DeviceLost`` → ``device_lost``."""
    name = type(error).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


#: Faults within the window that each step answers, in order; then the device is quarantined.
BUDGET = ((Step.RESTART_SESSION, 2), (Step.RESTART_RUNNER, 2))
WINDOW_SECONDS = 600.0
QUARANTINE_SECONDS = 900.0
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
#: A runner that lived this long did not fail by starting.
STEADY_SECONDS = 10.0


@dataclass
class Ladder:
    """Faults of one device, and the step that is next. Time is passed in, in seconds."""

    _faults: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    quarantined_until: float = 0.0

    def climb(self, now: float) -> Step:
        self._faults.append(now)
        recent = sum(1 for at in self._faults if at > now - WINDOW_SECONDS)
        for step, count in BUDGET:
            if recent <= count:
                return step
            recent -= count
        self.quarantined_until = now + QUARANTINE_SECONDS
        return Step.QUARANTINE

    def is_quarantined(self, now: float) -> bool:
        return now < self.quarantined_until

    def release(self) -> None:
        """Begin with a full budget again."""
        self._faults.clear()
        self.quarantined_until = 0.0


@dataclass
class Backoff:
    """Waits between restarts of a process; a long life resets them."""

    _attempt: int = 0

    def next_seconds(self, lived_seconds: float) -> float:
        if lived_seconds > STEADY_SECONDS:
            self._attempt = 0
        seconds = BACKOFF_SECONDS[min(self._attempt, len(BACKOFF_SECONDS) - 1)]
        self._attempt += 1
        return seconds
