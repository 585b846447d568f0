"""The filters that clients left open: bounded in number, closed when nobody asks for them."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from node.rpc.queries import LogQuery


class FilterKind(StrEnum):
    BLOCKS = "blocks"
    LOGS = "logs"
    PENDING = "pending"


@dataclass
class Filter:
    """``seen`` is the block, ``arrival`` the place in the mempool, up to which it was told."""

    kind: FilterKind
    seen: bytes = b""
    arrival: int = 0
    query: LogQuery = field(default_factory=LogQuery)
    first_block: int = 0
    last_block: int | None = None
    """Of logs: the bounds that the client named."""
    used: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while it is asked, so that nothing is told twice."""

    def spans(self, number: int) -> bool:
        return self.first_block <= number and (self.last_block is None or number <= self.last_block)


class Filters:
    """The open filters, oldest use first; the oldest goes where there are too many."""

    def __init__(
        self, most: int, idle_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._open: OrderedDict[int, Filter] = OrderedDict()
        # After a restart a client must not be taken for the owner of another's filter.
        self._numbers = itertools.count(secrets.randbits(63))
        self._lock = threading.Lock()

    def open(self, new: Filter) -> int:
        with self._lock:
            self._expire()
            if len(self._open) >= self._most:
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
        limit = self._clock() - self._idle_seconds
        while self._open and next(iter(self._open.values())).used < limit:
            self._open.popitem(last=False)
