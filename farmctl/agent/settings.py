"""Keeps a device's controls at the profile of its workload, and puts them back in the end."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from drivers.base import POWER_LIMIT, Device, Limits
from drivers.errors import DeviceLost, DriverError
from farmctl.errors import StoreError
from farmctl.files import write_atomic

log = logging.getLogger(__name__)

#: What a control is set to; None: the device chooses.
Settings = Mapping[str, float | None]
#: How often what is set is compared with what is wanted.
PERIOD_SECONDS = 10.0
#: Somebody else who sets a control so often within the window has it, for as long.
CONTESTS, WINDOW_SECONDS = 3, 600.0
#: Boards round what they are asked for.
TOLERANCE = 0.02
#: Told of each change: code, step, detail.
Tell = Callable[[str, str, str], None]


class Originals:
    """What controls were before the farm touched them, by hardware id, on the rig's disk: an
    agent that was killed puts them back when it runs again. Safe for several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, float | None]] = self._read()

    def of(self, hardware_id: str) -> Settings:
        with self._lock:
            return dict(self._kept.get(hardware_id, {}))

    def keep(self, hardware_id: str, settings: Settings) -> None:
        """Note what is not known yet. Raises `StoreError`: then nothing may be changed."""
        with self._lock:
            known = self._kept.get(hardware_id, {})
            if settings.keys() <= known.keys():
                return
            self._write({**self._kept, hardware_id: {**settings, **known}})

    def forget(self, hardware_id: str) -> None:
        """All is as it was. Raises `StoreError`."""
        with self._lock:
            if hardware_id in self._kept:
                self._write({k: v for k, v in self._kept.items() if k != hardware_id})

    def _write(self, kept: dict[str, dict[str, float | None]]) -> None:
        write_atomic(self._path, json.dumps(kept, indent=1).encode())
        self._kept = kept

    def _read(self) -> dict[str, dict[str, float | None]]:
        try:
            kept: dict[str, dict[str, float | None]] = json.loads(self._path.read_bytes())
            return {str(k): dict(v) for k, v in kept.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.error("%s cannot be read; controls stay as they are: %s", self._path, error)
            return {}


class Keeper:
    """Of one device. Every method but `want` and `lower` calls the driver: it is for the thread
    that reads the device, where a hang is noticed."""

    def __init__(
        self,
        device: Device,
        originals: Originals,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._originals = originals
        self._tell = tell
        self._clock = clock
        self._wanted: Settings = {}
        self._power_ratio = 1.0
        self._set: dict[str, float | None] = {}
        self._contests: dict[str, deque[float]] = {}
        self._refused: set[str] = set()
        self._due = 0.0
        self._lock = threading.Lock()
        self.can_lower = False
        """Whether the device has a power limit, as far as is known."""

    def want(self, settings: Settings) -> None:
        """From now on. A control that is not among them is to be what it was at first."""
        if settings != self._wanted:
            self._wanted, self._due = settings, 0.0

    def lower(self, power_ratio: float) -> None:
        """Let the device have but this share of the power it would have; 1.0 takes it back."""
        if power_ratio != self._power_ratio:
            self._power_ratio, self._due = power_ratio, 0.0

    def keep(self) -> None:
        """Compare, and set what differs, if it is time. Raises `DeviceLost`."""
        with self._lock:
            self._keep()

    def _keep(self) -> None:
        if self._clock() < self._due:
            return
        self._due = self._clock() + PERIOD_SECONDS
        try:
            limits = self._device.limits()
            self.can_lower = POWER_LIMIT in limits
            targets = self._targets(limits)
            now = self._device.settings() if targets else {}
        except DeviceLost:
            raise
        except DriverError as error:
            log.info("%s: controls cannot be read: %s", self._device.info.id, error)
            return
        for control, value in targets.items():
            if control in now and control not in self._refused:
                self._keep_one(control, value, now[control])

    def restore(self) -> None:
        """Put everything back, also what an agent before this one has left. Raises
        `DriverError` after trying each, and `StoreError`."""
        with self._lock:
            self._restore()

    def _restore(self) -> None:
        self._wanted, self._power_ratio = {}, 1.0
        hardware_id = self._device.info.hardware_id
        errors = []
        for control, value in self._originals.of(hardware_id).items():
            try:
                self._device.apply(control, value)
            except DriverError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        self._originals.forget(hardware_id)
        self._set.clear()

    def _targets(self, limits: Mapping[str, Limits]) -> dict[str, float | None]:
        originals = self._originals.of(self._device.info.hardware_id)
        targets = {**originals, **{c: v for c, v in self._wanted.items() if c in limits}}
        if self._power_ratio < 1.0 and POWER_LIMIT in limits:
            full = targets.get(POWER_LIMIT) or limits[POWER_LIMIT].default
            targets[POWER_LIMIT] = full * self._power_ratio
        return {control: _clamp(value, limits.get(control)) for control, value in targets.items()}

    def _keep_one(self, control: str, value: float | None, now: float | None) -> None:
        changed = control in self._set and not _same(now, self._set[control])
        if changed and self._is_contested(control, now):
            return
        if _same(now, value):
            self._set[control] = now
            return
        try:
            self._originals.keep(self._device.info.hardware_id, {control: now})
            applied = self._device.apply(control, value)
        except DeviceLost:
            raise
        except (DriverError, StoreError) as error:
            self._refused.add(control)
            self._tell("setting_refused", "left_alone", f"{control} to {_text(value)}: {error}")
            return
        self._set[control] = value
        if changed:
            detail = f"{control} was {_text(now)}, not {_text(value)} any more"
            self._tell("setting_changed", "set_again", detail)
        log.info("%s: %s is %s", self._device.info.id, control, _text(applied.read_back))

    def _is_contested(self, control: str, now: float | None) -> bool:
        """Whether somebody else insists on the control; then it is theirs for a while."""
        times = self._contests.setdefault(control, deque(maxlen=CONTESTS))
        if len(times) == CONTESTS and self._clock() - times[-1] < WINDOW_SECONDS:
            return True
        times.append(self._clock())
        contested = len(times) == CONTESTS and times[-1] - times[0] < WINDOW_SECONDS
        if contested:
            detail = f"{control} was set to {_text(now)} by somebody else {CONTESTS} times"
            self._tell("setting_contested", "left_alone", detail)
        elif len(times) == CONTESTS:
            times.popleft()
        return contested


def _clamp(value: float | None, limits: Limits | None) -> float | None:
    if value is None or limits is None:
        return value
    return min(max(value, limits.minimum), limits.maximum)


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TOLERANCE)


def _text(value: float | None) -> str:
    return "left to the device" if value is None else f"{value:g}"
