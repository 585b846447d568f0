"""Rigs and devices: takes in their reports, notices who falls silent, and shows the planner."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from farmctl import planner
from farmctl.domain import LENT_RIG, Event
from farmctl.messages import InventoryReport
from farmctl.store import Store, Transaction, events, inventory, jobs
from farmctl.telemetry import Telemetry

#: A rig that was silent this long is offline; reports come every 10 s.
SILENT_SECONDS = 30.0
#: After this silence a rig's jobs may be given to others.
JOB_LEASE_SECONDS = 120.0
#: Reports of a rig that was removed may still be on their way for so long.
LATE_SECONDS = 5.0


@dataclass
class InventoryKeeper:
    store: Store
    telemetry: Telemetry
    changed: Callable[[], None]
    """Called when the planner should look again."""
    clock: Callable[[], float] = time.time
    refused: int = 0
    _removed: dict[str, float] = field(default_factory=dict)
    """Until when the reports of a rig are late ones."""

    async def receive(self, subject: str, report: InventoryReport) -> None:
        """A rig's report of itself; a rig may speak for itself alone."""
        if subject != f"inventory.{report.rig}":
            self.refused += 1
            return
        if self._removed.get(report.rig, 0.0) > self.clock():
            return
        with self.store.begin() as tx:
            before = _shape(tx, report.rig)
            inventory.record_report(tx, report, self.clock())
            after = _shape(tx, report.rig)
            if report.rig == LENT_RIG:
                inventory.forget_absent(tx, report.rig)
            for event in _differences(report.rig, before, after, self.clock()):
                events.add(tx, event)
        if before != after:
            self.changed()

    def forget(self, rig: str) -> None:
        """As if it had never been."""
        with self.store.begin() as tx:
            inventory.forget_rig(tx, rig)

    def remove(self, tx: Transaction, rig: str) -> bool:
        """Forget a rig that was cut off, and what it may still say; whether it was there."""
        now = self.clock()
        self._removed = {name: until for name, until in self._removed.items() if until > now}
        self._removed[rig] = now + LATE_SECONDS
        return inventory.forget_rig(tx, rig)

    def welcome(self, rig: str) -> None:
        """Listen to a rig of that name again."""
        self._removed.pop(rig, None)

    def look_for_silence(self) -> None:
        """Take the jobs of rigs that were silent for long."""
        now = self.clock()
        with self.store.begin() as tx:
            gone = {
                r.rig.name for r in inventory.rigs(tx) if now - r.rig.last_seen > JOB_LEASE_SECONDS
            }
            for record in inventory.devices(tx):
                if record.device.rig in gone:
                    jobs.release(tx, record.device.key, keeps=None)

    def is_offline(self, last_seen: float) -> bool:
        return self.clock() - last_seen > SILENT_SECONDS

    def view(self, tx: Transaction) -> planner.Inventory:
        """As the planner sees it; devices that are no longer reported are left out."""
        seen = {r.rig.name: r.rig.last_seen for r in inventory.rigs(tx)}
        return planner.Inventory(
            tuple(
                self._planned(record, self.is_offline(seen[record.device.rig]))
                for record in inventory.devices(tx)
                if record.present
            )
        )

    def _planned(self, record: inventory.DeviceRecord, offline: bool) -> planner.PlannedDevice:
        power = self.telemetry.rate(record.device.key, "power_watts")
        return planner.PlannedDevice(
            device=record.device,
            offline=offline,
            workload_since=record.workload_since,
            graphs_per_second=record.rates.get("graphs_per_second"),
            power_watts=record.rates.get("power_watts") if power is not None else None,
            switch_seconds=record.switch_seconds,
        )


GONE = ("its rig no longer reports it", "error")
_Shape = dict[str, tuple[str, frozenset[str]]]


def _shape(tx: Transaction, rig: str) -> _Shape:
    """What of a rig's devices matters to the planner: health and proved capabilities."""
    return {
        record.device.key: (record.device.health, record.device.proved)
        for record in inventory.devices(tx)
        if record.device.rig == rig and record.present
    }


def _differences(rig: str, before: _Shape, after: _Shape, now: float) -> list[Event]:
    found = [
        Event(now, "device", key, f"{key.split('/', 1)[1]} is here")
        for key in after.keys() - before
    ]
    gone = ("its owner took it back", "info") if rig == LENT_RIG else GONE
    found += [Event(now, "device", key, *gone) for key in before.keys() - after]
    for key in before.keys() & after:
        if before[key][0] != after[key][0]:
            level = "info" if after[key][0] == "ok" else "warning"
            found.append(Event(now, "health", key, f"{before[key][0]} → {after[key][0]}", level))
    return sorted(found, key=lambda event: event.subject)
