"""The ladder: what is done about a device's faults, the gentlest first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from farmctl.domain import QUARANTINE_SECONDS, FaultStep


def fault_code(error: Exception) -> str:
    """``DeviceLost`` → ``device_lost``."""
    name = type(error).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


#: Faults within the window that each step answers, in order; then the device is quarantined.
BUDGET = ((FaultStep.RESTART_SESSION, 2), (FaultStep.RESTART_RUNNER, 1), (FaultStep.LOWER_POWER, 1))
WINDOW_SECONDS = 600.0
#: Power of a device whose faults restarts did not end, and how long without a fault gives it back.
LOWERED_POWER_RATIO = 0.8
CLEAN_SECONDS = 1800.0
#: So many quarantines in a day, and the device is beyond what the agent can mend without a reboot.
HOPELESS_QUARANTINES = 3
DAY_SECONDS = 86_400.0
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
#: A runner that lived this long did not fail by starting.
STEADY_SECONDS = 10.0


@dataclass
class Ladder:
    """Faults of one device, and the step that is next. Time is passed in, in seconds."""

    _faults: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    _quarantines: deque[float] = field(default_factory=lambda: deque(maxlen=HOPELESS_QUARANTINES))
    quarantined_until: float = 0.0
    power_ratio: float = 1.0
    """Share of its power that the device may have."""

    def climb(self, now: float, can_lower: bool = True) -> FaultStep:
        """``can_lower``: whether the device has a power limit."""
        self._faults.append(now)
        recent = sum(1 for at in self._faults if at > now - WINDOW_SECONDS)
        for step, count in BUDGET:
            if recent <= count:
                return self._step(step, can_lower)
            recent -= count
        self._quarantines.append(now)
        self.quarantined_until = now + QUARANTINE_SECONDS
        return FaultStep.QUARANTINE

    def _step(self, step: FaultStep, can_lower: bool) -> FaultStep:
        if step is FaultStep.LOWER_POWER:
            if not can_lower:
                return FaultStep.RESTART_RUNNER
            self.power_ratio = LOWERED_POWER_RATIO
        return step

    def relax(self, now: float) -> bool:
        """Take the lowered power back after a clean time; whether that is now."""
        if self.power_ratio == 1.0 or (self._faults and now - self._faults[-1] < CLEAN_SECONDS):
            return False
        self.power_ratio = 1.0
        return True

    def is_hopeless(self, now: float) -> bool:
        """Whether quarantines have not helped for a day."""
        recent = [at for at in self._quarantines if at > now - DAY_SECONDS]
        return len(recent) == HOPELESS_QUARANTINES

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
