"""A cache of loaded models, bounded in bytes, with the policy that pays best (whitepaper 3.6)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from node.models.eviction import Policy, make_order

__all__ = ["Cache", "CacheCounts", "Policy"]

Value = TypeVar("Value")


def hit_ratio(hits: int, misses: int) -> float | None:
    """None before the first look-up."""
    return hits / (hits + misses) if hits + misses else None


@dataclass(frozen=True)
class CacheCounts:
    """What a cache did since it was made."""

    policy: Policy
    limit_bytes: int
    hits: int
    misses: int
    evictions: int
    entries: int
    used_bytes: int

    @property
    def hit_ratio(self) -> float | None:
        return hit_ratio(self.hits, self.misses)


class Cache(Generic[Value]):
    """Values by key, of at most ``limit_bytes`` in all. Safe for several threads.

    A value that alone exceeds the limit is handed out and not kept.
    """

    def __init__(self, limit_bytes: int, policy: Policy = Policy.LRU) -> None:
        self.limit_bytes = limit_bytes
        self.policy = policy
        self._entries: dict[bytes, tuple[Value, int]] = {}
        self._order = make_order(policy)
        self._used_bytes = 0
        self._hits = self._misses = self._evictions = 0
        self._lock = threading.Lock()

    def __contains__(self, key: bytes) -> bool:
        """Whether it is here; this counts for no look-up."""
        with self._lock:
            return key in self._entries

    def get(self, key: bytes) -> Value | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                self._misses += 1
                return None
            self._hits += 1
            self._order.hit(key)
            return found[0]

    def peek(self, key: bytes) -> Value | None:
        """As `get`, but this counts for no look-up and keeps nothing longer."""
        with self._lock:
            found = self._entries.get(key)
            return None if found is None else found[0]

    def put(self, key: bytes, value: Value, size_bytes: int) -> None:
        with self._lock:
            self._forget(key)
            if size_bytes > self.limit_bytes:
                return
            while self._used_bytes + size_bytes > self.limit_bytes:
                self._used_bytes -= self._entries.pop(self._order.victim())[1]
                self._evictions += 1
            self._entries[key] = (value, size_bytes)
            self._order.add(key, size_bytes)
            self._used_bytes += size_bytes

    def find(self, key: bytes, load: Callable[[], tuple[Value, int]]) -> Value:
        """The value of ``key``, loaded (with its size in bytes) and kept if it is not here."""
        found = self.get(key)
        if found is not None:
            return found
        value, size_bytes = load()
        self.put(key, value, size_bytes)
        return value

    def snapshot(self) -> dict[bytes, Value]:
        """All entries, as they are now; this counts for no look-up."""
        with self._lock:
            return {key: value for key, (value, _) in self._entries.items()}

    def forget(self, key: bytes) -> None:
        """Drop an entry; one that is not here is dropped already."""
        with self._lock:
            self._forget(key)

    def counts(self) -> CacheCounts:
        with self._lock:
            return CacheCounts(
                policy=self.policy,
                limit_bytes=self.limit_bytes,
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                entries=len(self._entries),
                used_bytes=self._used_bytes,
            )

    def _forget(self, key: bytes) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._order.drop(key)
            self._used_bytes -= found[1]
