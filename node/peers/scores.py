"""Points against peers, halved every few minutes, and the bans that they add up to."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from node.peers.errors import BAN_POINTS

HALF_LIFE_SECONDS = 300.0
BAN_SECONDS = 600.0
MAX_NAMES = 1024


@dataclass
class _Record:
    points: float
    at: float
    reason: str
    banned_until: float = 0.0


class Scores:
    """By name: a peer's address as configured, or what an unknown one came from."""

    def __init__(
        self,
        ban_seconds: float = BAN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ban_seconds, self._clock = ban_seconds, clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def add(self, name: str, points: float, reason: str) -> bool:
        """Count points; return whether the name is banned now. Who is banned already stays so
        for the reason given then."""
        if self.ban_seconds(name) > 0:
            return True
        now = self._clock()
        record = self._records.pop(name, None) or _Record(0.0, now, reason)
        record.points = self._decayed(record) + points
        record.at, record.reason = now, reason
        if record.points >= BAN_POINTS:
            record.banned_until = now + self._ban_seconds
            record.points = 0.0
        self._records[name] = record
        if len(self._records) > MAX_NAMES:
            self._forget(now)
        return record.banned_until > now

    def points(self, name: str) -> float:
        record = self._records.get(name)
        return self._decayed(record) if record else 0.0

    def reason(self, name: str) -> str:
        """Why points were given last."""
        record = self._records.get(name)
        return record.reason if record else ""

    def ban_seconds(self, name: str) -> float:
        """How long the name is still banned; 0 where it is not."""
        record = self._records.get(name)
        return max(0.0, record.banned_until - self._clock()) if record else 0.0

    def _forget(self, now: float) -> None:
        """Let the oldest go that is not banned, or else the oldest."""
        free = (name for name, record in self._records.items() if record.banned_until <= now)
        del self._records[next(free, next(iter(self._records)))]

    def _decayed(self, record: _Record) -> float:
        age = self._clock() - record.at
        return record.points * math.exp2(-age / HALF_LIFE_SECONDS)
