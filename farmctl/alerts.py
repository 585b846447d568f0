"""Rules that raise an alert as an event, at most once per rule and subject in a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from farmctl.domain import Event
from farmctl.inventory import InventoryKeeper
from farmctl.messages import NodeStatus
from farmctl.store import Store, Transaction, events, inventory
from farmctl.store.events import EventRecord

#: The same alert is not raised again within this time.
QUIET_SECONDS = 1800.0
REMEMBERED = 10_000
#: Shares before their rejection rate says anything.
SHARES_ENOUGH = 50
REJECTED_RATIO = 0.05
BLOCKED_SECONDS = 60.0
ABLE = ("ok", "degraded")


@dataclass(frozen=True)
class Alert:
    rule: str
    subject: str
    text: str


@dataclass
class Alerts:
    store: Store
    keeper: InventoryKeeper
    node: Callable[[], NodeStatus | None]
    tell: Callable[[EventRecord], None]
    clock: Callable[[], float] = time.time
    _raised: dict[tuple[str, str], float] = field(default_factory=dict)
    _blocked_since: float | None = None

    def check(self) -> list[Alert]:
        """Apply every rule; returns the alerts raised now."""
        with self.store.begin() as tx:
            new = [a for a in self._applying(tx) if self._is_due(a)]
            told = [
                events.add(tx, Event(self.clock(), "alert", a.subject, a.text, "error"))
                for a in new
            ]
        for record in told:
            self.tell(record)
        return new

    def _applying(self, tx: Transaction) -> Iterator[Alert]:
        yield from self._silent_rigs(tx)
        for record in inventory.devices(tx):
            yield from _sick_device(record)
            yield from _rejected_shares(record)
        yield from self._blocked_node()

    def _silent_rigs(self, tx: Transaction) -> Iterator[Alert]:
        for record in inventory.rigs(tx):
            if self.keeper.is_offline(record.rig.last_seen):
                silence = self.clock() - record.rig.last_seen
                text = f"rig {record.rig.name} is silent for {silence:.0f} s; look at its agent"
                yield Alert("rig_silent", record.rig.name, text)

    def _blocked_node(self) -> Iterator[Alert]:
        status, now = self.node(), self.clock()
        if status is None or not status.blocked:
            self._blocked_since = None
            return
        self._blocked_since = self._blocked_since or now
        if now - self._blocked_since >= BLOCKED_SECONDS:
            yield Alert("node_blocked", "node", f"block production waits: {status.blocked}")

    def _is_due(self, alert: Alert) -> bool:
        key, now = (alert.rule, alert.subject), self.clock()
        if now - self._raised.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        if len(self._raised) >= REMEMBERED:
            self._raised.clear()
        self._raised[key] = now
        return True


def _sick_device(record: inventory.DeviceRecord) -> Iterator[Alert]:
    device = record.device
    if record.present and device.health not in ABLE:
        yield Alert("device_health", device.key, f"{device.health}: {device.health_reason}")


def _rejected_shares(record: inventory.DeviceRecord) -> Iterator[Alert]:
    shares = record.shares
    total = shares.accepted + shares.stale + shares.rejected
    if total >= SHARES_ENOUGH and shares.rejected / total > REJECTED_RATIO:
        text = f"{shares.rejected} of {total} shares were rejected; let it prove itself again"
        yield Alert("shares_rejected", record.device.key, text)
