"""Which entry of a full cache makes way.

LRU and FIFO are the classic ones. LFU here ages (LFU-DA: L. Cherkasova, HPL-98-69), so that what
was popular once does not stay for ever; GDSF (the same report) also counts size, for models differ
a hundredfold in it. S3-FIFO (Yang et al., SOSP 2023) keeps what is asked for once out of the way
of the rest.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from enum import StrEnum
from typing import Protocol


class Policy(StrEnum):
    """Which entry makes way."""

    LRU = "lru"
    """The one not used for longest."""
    FIFO = "fifo"
    """The oldest."""
    LFU = "lfu"
    """The one used least often of late."""
    GDSF = "gdsf"
    """The one used least often for its size."""
    S3_FIFO = "s3-fifo"
    """The one that was not asked for again."""


class Order(Protocol):
    """The keys of a cache in the order in which they make way."""

    def add(self, key: bytes, size_bytes: int) -> None:
        """A key that is not in it."""
        ...

    def hit(self, key: bytes) -> None: ...

    def drop(self, key: bytes) -> None: ...

    def victim(self) -> bytes:
        """Take out the next to go; there must be one."""
        ...


class Queue:
    """FIFO, or LRU where a hit ``moves`` the key back to the end."""

    def __init__(self, moves: bool) -> None:
        self._moves = moves
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def add(self, key: bytes, size_bytes: int) -> None:
        self._keys[key] = None

    def hit(self, key: bytes) -> None:
        if self._moves:
            self._keys.move_to_end(key)

    def drop(self, key: bytes) -> None:
        del self._keys[key]

    def victim(self) -> bytes:
        return self._keys.popitem(last=False)[0]


class Frequency:
    """LFU with ageing, or GDSF where size counts.

    A key's worth is its uses (over its size) plus the worth of the last that went: newcomers thus
    start beside those that are still used.
    """

    def __init__(self, by_size: bool) -> None:
        self._by_size = by_size
        self._age = 0.0
        self._turn = 0
        self._uses: dict[bytes, int] = {}
        self._sizes: dict[bytes, int] = {}
        self._current: dict[bytes, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, bytes]] = []

    def add(self, key: bytes, size_bytes: int) -> None:
        self._uses[key], self._sizes[key] = 0, size_bytes
        self.hit(key)

    def hit(self, key: bytes) -> None:
        self._uses[key] += 1
        self._turn += 1
        worth = self._uses[key] / max(1, self._sizes[key]) if self._by_size else self._uses[key]
        self._current[key] = (self._age + worth, self._turn)
        heapq.heappush(self._heap, (*self._current[key], key))
        if len(self._heap) > 2 * len(self._current) + 64:
            self._heap = [(*rank, each) for each, rank in self._current.items()]
            heapq.heapify(self._heap)

    def drop(self, key: bytes) -> None:
        for table in (self._uses, self._sizes, self._current):
            del table[key]

    def victim(self) -> bytes:
        while True:
            worth, turn, key = heapq.heappop(self._heap)
            if self._current.get(key) == (worth, turn):  # else it was used or dropped since
                self._age = worth
                self.drop(key)
                return key


class ThreeQueues:
    """S3-FIFO by bytes: newcomers wait in a small queue, and enter the main one when they are
    asked for again there, or soon after they had to go (``_ghosts`` remembers them)."""

    SMALL_SHARE = 10
    USES = 3

    def __init__(self) -> None:
        self._small: OrderedDict[bytes, int] = OrderedDict()
        self._main: OrderedDict[bytes, int] = OrderedDict()
        self._ghosts: OrderedDict[bytes, None] = OrderedDict()
        self._uses: dict[bytes, int] = {}
        self._small_bytes = self._main_bytes = 0

    def add(self, key: bytes, size_bytes: int) -> None:
        self._uses[key] = 0
        if key in self._ghosts:
            del self._ghosts[key]
            self._enter_main(key, size_bytes)
        else:
            self._small[key] = size_bytes
            self._small_bytes += size_bytes

    def hit(self, key: bytes) -> None:
        self._uses[key] = min(self.USES, self._uses[key] + 1)

    def drop(self, key: bytes) -> None:
        del self._uses[key]
        self._small_bytes -= self._small.pop(key, 0)
        self._main_bytes -= self._main.pop(key, 0)

    def victim(self) -> bytes:
        total = self._small_bytes + self._main_bytes
        if self._small_bytes * self.SMALL_SHARE > total or not self._main:
            found = self._take_small()
            if found is not None:
                return found
        return self._take_main()

    def _take_small(self) -> bytes | None:
        """None where all of it was asked for again and went to the main queue."""
        while self._small:
            key, size_bytes = self._small.popitem(last=False)
            self._small_bytes -= size_bytes
            if self._uses[key]:
                self._uses[key] = 0
                self._enter_main(key, size_bytes)
                continue
            del self._uses[key]
            self._remember(key)
            return key
        return None

    def _take_main(self) -> bytes:
        while True:
            key, size_bytes = self._main.popitem(last=False)
            if not self._uses[key]:
                self._main_bytes -= size_bytes
                del self._uses[key]
                return key
            self._uses[key] -= 1
            self._main[key] = size_bytes

    def _enter_main(self, key: bytes, size_bytes: int) -> None:
        self._main[key] = size_bytes
        self._main_bytes += size_bytes

    def _remember(self, key: bytes) -> None:
        self._ghosts[key] = None
        while len(self._ghosts) > max(64, len(self._uses)):
            self._ghosts.popitem(last=False)


def make_order(policy: Policy) -> Order:
    """An empty order of that kind."""
    if policy in (Policy.LRU, Policy.FIFO):
        return Queue(moves=policy is Policy.LRU)
    if policy is Policy.S3_FIFO:
        return ThreeQueues()
    return Frequency(by_size=policy is Policy.GDSF)
