"""Readings: the latest of each device at hand, all of them in the store by batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from farmctl.domain import DeviceKey, device_key
from farmctl.messages import Reading, ReadingBatch
from farmctl.store import Store, inventory, readings
from farmctl.store.readings import HOUR, MINUTE, RAW, Sample

#: An older reading than this is no longer shown as the present one.
FRESH_SECONDS = 10.0
#: Replayed readings older than this are dropped.
STALE_SECONDS = 60.0
PENDING_SAMPLES = 50_000
#: Rates from which a device's earning power is estimated.
RATE_FIELDS = ("graphs_per_second", "infers_per_second", "steps_per_second", "power_watts")


@dataclass
class Telemetry:
    store: Store
    clock: Callable[[], float] = time.time
    _latest: dict[DeviceKey, Reading] = field(default_factory=dict)
    _pending: deque[Sample] = field(default_factory=lambda: deque(maxlen=PENDING_SAMPLES))
    dropped: int = 0

    async def receive(self, subject: str, batch: ReadingBatch) -> None:
        """A rig's readings; those of another rig's name or from long ago are dropped."""
        if subject != f"reading.{batch.rig}":
            self.dropped += len(batch.readings)
            return
        for reading in batch.readings:
            self._take(device_key(batch.rig, reading.device), reading)

    def _take(self, key: DeviceKey, reading: Reading) -> None:
        known = self._latest.get(key)
        if self.clock() - reading.at > STALE_SECONDS or (known and known.at >= reading.at):
            self.dropped += 1
            return
        self._latest[key] = reading
        self._pending.append(Sample(key, reading.at, dict(reading.values)))

    def latest(self, key: DeviceKey) -> Reading | None:
        """The present reading; None when there is no fresh one."""
        reading = self._latest.get(key)
        if reading is None or self.clock() - reading.at > FRESH_SECONDS:
            return None
        return reading

    def rate(self, key: DeviceKey, name: str) -> float | None:
        reading = self.latest(key)
        return reading.values.get(name) if reading else None

    def flush(self) -> None:
        """Write what came since the last time, and smooth the rates."""
        samples = list(self._pending)
        self._pending.clear()
        if not samples:
            return
        newest = {sample.device: sample.fields for sample in samples}
        with self.store.begin() as tx:
            readings.add(tx, samples)
            for key, values in newest.items():
                rates = {name: values[name] for name in RATE_FIELDS if values.get(name)}
                inventory.record_rates(tx, key, rates)

    def roll_up(self) -> None:
        with self.store.begin() as tx:
            readings.roll_up(tx, MINUTE, self.clock())
            readings.roll_up(tx, HOUR, self.clock())

    def prune(self, raw_hours: float, minute_days: float, hour_days: float) -> None:
        now = self.clock()
        for key in [k for k, reading in self._latest.items() if now - reading.at > STALE_SECONDS]:
            del self._latest[key]
        with self.store.begin() as tx:
            readings.prune(tx, RAW, now - raw_hours * 3600)
            readings.prune(tx, MINUTE, now - minute_days * 86400)
            readings.prune(tx, HOUR, now - hour_days * 86400)
