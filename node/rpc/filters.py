"""Queries over logs, and the filters that clients left open."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from node.spec.bloom import may_contain
from node.spec.types import Log

MAX_FILTERS = 256
IDLE_SECONDS = 300.0


@dataclass(frozen=True)
class LogQuery:
    """Any of ``addresses`` (none given: all) and, by position, any of the topics."""

    addresses: frozenset[bytes] = frozenset()
    topics: tuple[frozenset[bytes], ...] = ()

    def matches(self, log: Log) -> bool:
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(not w or t in w for w, t in zip(self.topics, log.topics, strict=False))

    def may_match(self, bloom: bytes) -> bool:
        """False only where no log under this bloom can match."""
        groups = [g for g in (self.addresses, *self.topics) if g]
        return all(any(may_contain(bloom, entry) for entry in group) for group in groups)


class FilterKind(StrEnum):
    BLOCKS = "blocks"
    LOGS = "logs"


@dataclass
class Filter:
    kind: FilterKind
    first_block: int
    query: LogQuery = field(default_factory=LogQuery)
    next_block: int = -1
    used: float = 0.0

    def __post_init__(self) -> None:
        if self.next_block < 0:
            self.next_block = self.first_block


class Filters:
    """The open filters, oldest use first; the oldest goes where there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[int, Filter] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def open(self, new: Filter) -> int:
        with self._lock:
            self._expire()
            if len(self._open) >= MAX_FILTERS:
                self._open.popitem(last=False)
            number = next(self._numbers)
            new.used = self._clock()
            self._open[number] = new
            return number

    def get(self, number: int) -> Filter | None:
        with self._lock:
            self._expire()
            found = self._open.get(number)
            if found is not None:
                found.used = self._clock()
                self._open.move_to_end(number)
            return found

    def close(self, number: int) -> bool:
        with self._lock:
            return self._open.pop(number, None) is not None

    def _expire(self) -> None:
        limit = self._clock() - IDLE_SECONDS
        while self._open and next(iter(self._open.values())).used < limit:
            self._open.popitem(last=False)
