"""Energy that a device takes while it works."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from drivers.base import Device, Telemetry
from drivers.errors import DriverError

SAMPLE_SECONDS = 0.2
POWER, ENERGY = "power_watts", "energy_joules"


@dataclass(frozen=True)
class Energy:
    """Taken in a stretch of time; None with the reason where it cannot be read."""

    joules: float | None
    seconds: float
    reason: str = ""

    @property
    def watts(self) -> float | None:
        return None if self.joules is None or self.seconds <= 0 else self.joules / self.seconds


class PowerMeter:
    """Reads a device from entering to leaving: its energy counter where it has one, else its
    power several times a second."""

    def __init__(self, device: Device, sample_seconds: float = SAMPLE_SECONDS) -> None:
        self._device = device
        self._sample_seconds = sample_seconds
        self._ended = threading.Event()
        self._readings: list[Telemetry] = []
        self._failure = ""
        self._thread = threading.Thread(target=self._sample, name="power-meter", daemon=True)

    def __enter__(self) -> Self:
        self._read()
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._seconds = time.monotonic() - self._began
        self._ended.set()
        self._thread.join()
        self._read()

    def energy(self) -> Energy:
        """After leaving."""
        if len(self._readings) < 2:
            return Energy(None, self._seconds, self._failure)
        first, last = self._readings[0].values, self._readings[-1].values
        if ENERGY in first and last.get(ENERGY, 0.0) > first[ENERGY]:
            return Energy(last[ENERGY] - first[ENERGY], self._seconds)
        watts = [one.values[POWER] for one in self._readings if POWER in one.values]
        if watts:
            return Energy(statistics.fmean(watts) * self._seconds, self._seconds)
        return Energy(None, self._seconds, self._readings[-1].missing.get(POWER, "no reading"))

    def _sample(self) -> None:
        while not self._ended.wait(self._sample_seconds):
            self._read()

    def _read(self) -> None:
        try:
            self._readings.append(self._device.snapshot())
        except DriverError as error:
            self._failure = str(error)
