"""Reads a device's telemetry and health each second, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.base import Device, Health, HealthStatus, Telemetry
from drivers.errors import DriverError

log = logging.getLogger(__name__)
PERIOD_SECONDS = 1.0
#: A read that takes longer counts the device as lost.
HANG_SECONDS = 5.0
#: Readings that a fault's report holds as evidence.
EVIDENCE = ("temperature_celsius", "power_watts", "power_limit_watts", "throttle_bits")


@dataclass(frozen=True)
class Sample:
    telemetry: Telemetry
    health: Health
    seconds: float
    """That reading took."""


class Sampler:
    """The newest `Sample` of one device. A read that hangs blocks this thread alone."""

    def __init__(
        self,
        device: Device,
        period_seconds: float = PERIOD_SECONDS,
        hang_seconds: float = HANG_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """``then`` is called after each reading, in the same thread."""
        self._device = device
        self._then = then
        self._period_seconds = period_seconds
        self._hang_seconds = hang_seconds
        self._clock = clock
        self._ended = threading.Event()
        self._sample: Sample | None = None
        self._taken: Sample | None = None
        self._error = ""
        self._reading_since: float | None = None

    def start(self) -> None:
        name = f"telemetry-{self._device.info.id}"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def take(self) -> Sample | None:
        """The newest sample, once: None when there is no newer one since."""
        sample = self._sample
        if sample is None or sample is self._taken:
            return None
        self._taken = sample
        return sample

    def newest(self) -> Telemetry | None:
        """The newest reading, as often as it is asked for."""
        return self._sample.telemetry if self._sample else None

    def health(self) -> Health:
        since = self._reading_since
        if since is not None and self._clock() - since > self._hang_seconds:
            hung_seconds = self._clock() - since
            reason = f"reading its telemetry has hung for {hung_seconds:.0f} s"
            return Health(HealthStatus.LOST, ("telemetry_hung",), reason)
        if self._error:
            return Health(HealthStatus.LOST, ("telemetry_failed",), self._error)
        return Health(HealthStatus.OK) if self._sample is None else self._sample.health

    def _run(self) -> None:
        while not self._ended.is_set():
            self._reading_since = self._clock()
            try:
                self._sample = self._read()
                self._error = ""
                self._then()
            except DriverError as error:
                self._error = str(error)
            except Exception as error:
                log.exception("telemetry of %s", self._device.info.id)
                self._error = f"{type(error).__name__}: {error}"
            self._reading_since = None
            self._ended.wait(self._period_seconds)

    def _read(self) -> Sample:
        began = self._clock()
        telemetry, health = self._device.snapshot(), self._device.health()
        return Sample(telemetry, health, self._clock() - began)


def describe(sampler: Sampler) -> str:
    """How the device was doing, to be added to a fault's report; empty where nothing is known."""
    telemetry = sampler.newest()
    values = telemetry.values if telemetry else {}
    found = [f"{name} {values[name]:g}" for name in EVIDENCE if name in values]
    found += sampler.health().codes
    return f" ({', '.join(found)})" if found else ""
