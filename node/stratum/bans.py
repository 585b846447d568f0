"""Addresses that flood the pool are shut out for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

#: Bad shares and lines that an address may send in a burst,
PATIENCE = 50.0
#: and how many it is forgiven each second.
FORGIVEN_PER_SECOND = 0.5
#: A valid share makes good for so many bad ones.
CREDIT = 1.0
MAX_ADDRESSES = 65_536


@dataclass(slots=True)
class Record:
    strikes: float
    at: float
    banned_until: float = 0.0


@dataclass
class Bans:
    ban_seconds: float
    clock: Callable[[], float] = time.monotonic
    _records: OrderedDict[str, Record] = field(default_factory=OrderedDict)

    def is_banned(self, address: str) -> bool:
        record = self._records.get(address)
        return record is not None and record.banned_until > self.clock()

    def strike(self, address: str, weight: float = 1.0) -> bool:
        """Count something bad; whether the address is banned by it."""
        record = self._now(address)
        record.strikes += weight
        if record.strikes < PATIENCE or record.banned_until > record.at:
            return False
        record.strikes, record.banned_until = 0.0, record.at + self.ban_seconds
        return True

    def credit(self, address: str) -> None:
        """A valid share."""
        if address in self._records:
            record = self._now(address)
            record.strikes = max(0.0, record.strikes - CREDIT)

    def count(self) -> int:
        """Addresses banned now."""
        now = self.clock()
        return sum(record.banned_until > now for record in self._records.values())

    def _now(self, address: str) -> Record:
        now = self.clock()
        record = self._records.setdefault(address, Record(0.0, now))
        self._records.move_to_end(address)
        record.strikes = max(0.0, record.strikes - (now - record.at) * FORGIVEN_PER_SECOND)
        record.at = now
        if len(self._records) > MAX_ADDRESSES:
            self._records.popitem(last=False)
        return record
