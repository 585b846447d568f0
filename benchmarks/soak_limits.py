"""Power limits set at random, over and over, on every device that has the control."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from drivers.base import Applied, Device, Limits
from drivers.survey import Survey

CONTROL = "power_limit_watts"
TOLERANCE_WATTS = 0.5


class PowerLimits:
    def __init__(self) -> None:
        devices = [device for family in Survey().look() for device in family.devices]
        found = ((device, device.limits().get(CONTROL)) for device in devices)
        self._devices = [(device, limits) for device, limits in found if limits is not None]
        self._before = [_read(device) for device, _ in self._devices]
        self.changes = self.mismatches = self.unrestored = 0

    async def change(self) -> None:
        """Set each to a value that may lie beyond its range, where it must be clamped."""
        for device, limits in self._devices:
            watts = random.uniform(limits.minimum - 20, limits.maximum + 20)
            applied = await asyncio.to_thread(device.apply, CONTROL, watts)
            self.changes += 1
            self.mismatches += not _is_clamped(applied, limits)

    async def restore(self) -> None:
        for (device, _), before in zip(self._devices, self._before, strict=True):
            await asyncio.to_thread(device.restore)
            self.unrestored += abs(_read(device) - before) > TOLERANCE_WATTS

    def record(self) -> dict[str, Any]:
        return {
            "devices": [device.info.model for device, _ in self._devices],
            "changes": self.changes,
            "mismatches": self.mismatches,
        }


def _is_clamped(applied: Applied, limits: Limits) -> bool:
    wanted = min(max(applied.requested, limits.minimum), limits.maximum)
    return abs(applied.read_back - wanted) <= TOLERANCE_WATTS


def _read(device: Device) -> float:
    return device.snapshot().values["power_limit_watts"]
