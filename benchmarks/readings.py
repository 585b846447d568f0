"""What a device tells of itself while something is measured on it."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

from drivers.base import Device
from drivers.errors import DriverError

PERIOD_SECONDS = 0.1
MOST = 36_000
NAMES = (
    "utilisation_ratio",
    "memory_used_bytes",
    "temperature_celsius",
    "power_watts",
    "clock_hertz",
    "memory_clock_hertz",
    "throttle_bits",
    "energy_joules",
)


class Readings:
    """A thread that reads the device from ``with`` to its end; ``taken`` has a record each."""

    def __init__(self, device: Device, period_seconds: float = PERIOD_SECONDS) -> None:
        self.taken: list[dict[str, Any]] = []
        self._device = device
        self._period_seconds = period_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        began = time.monotonic()
        while len(self.taken) < MOST:
            record: dict[str, Any] = {"seconds": round(time.monotonic() - began, 3)}
            try:
                values = self._device.snapshot().values
                record |= {name: values[name] for name in NAMES if name in values}
            except DriverError as error:
                record["error"] = str(error)
            self.taken.append(record)
            if self._over.wait(self._period_seconds):
                return
