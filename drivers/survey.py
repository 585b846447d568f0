"""Looking at all device families of a machine side by side: one that hangs hinders no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from drivers import registry
from drivers.base import Device, Probe, ProbeStatus
from drivers.registry import Family

#: Some families start a program of their own to look.
FAMILY_SECONDS = 30.0


class Survey:
    """Looks again and again. A family that does not answer is BROKEN meanwhile, keeps the devices
    that it had, and is not asked anew before its last answer has come."""

    def __init__(self, family_seconds: float = FAMILY_SECONDS) -> None:
        self._family_seconds = family_seconds
        self._looking: dict[str, _Look] = {}
        self._devices: dict[str, Sequence[Device]] = {}

    def look(self) -> list[Family]:
        """Every family, by name; takes no longer than one family may. Never raises."""
        names = registry.families()
        for name in names:
            if name not in self._looking:
                self._looking[name] = _Look(name)
        deadline = time.monotonic() + self._family_seconds
        return [self._take(name, deadline) for name in names]

    def _take(self, name: str, deadline: float) -> Family:
        look = self._looking[name]
        found = look.wait(max(0.0, deadline - time.monotonic()))
        if found is None:
            seconds = look.age_seconds()
            reason = f"its driver has not answered for {seconds:.0f} s"
            probe = Probe(ProbeStatus.BROKEN, reason)
            return Family(name, probe, self._devices.get(name, ()), seconds)
        del self._looking[name]
        self._devices[name] = found.devices
        return found


class _Look:
    """One family, looked at in a thread that keeps nobody waiting."""

    def __init__(self, name: str) -> None:
        self._began = time.monotonic()
        self._found: Family | None = None
        self._done = threading.Event()
        thread = threading.Thread(target=self._run, args=(name,), name=f"look-{name}", daemon=True)
        thread.start()

    def wait(self, seconds: float) -> Family | None:
        self._done.wait(seconds)
        return self._found

    def age_seconds(self) -> float:
        return time.monotonic() - self._began

    def _run(self, name: str) -> None:
        self._found = registry.survey_family(name)
        self._done.set()
