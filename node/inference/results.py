"""Results that are known, and for a while who computed those that nobody has checked."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.models.cache import Cache, CacheCounts

#: Model's infohash and Keccak-256 of the contract's input.
Key = tuple[bytes, bytes]

RESULT_BYTES = 1024 * 1024
"""A larger one is not kept."""
CACHE_BYTES = 128 * 1024 * 1024
FRESH = 65_536
#: Of a device that turns out to be wrong, unchecked results of so long ago are computed again,
DOUBT_SECONDS = 600.0
#: as many as fit here with their inputs.
DOUBT_BYTES = 64 * 1024 * 1024
#: Devices of which it is remembered that they were wrong.
DEVICES = 1024
#: What an entry takes beside the result itself.
ENTRY_BYTES = 256


@dataclass(frozen=True)
class Unchecked:
    """A result that a device alone stands for."""

    at: float
    device: str
    model: bytes
    data: bytes
    """The contract's input."""
    key: Key
    result: bytes

    @property
    def size(self) -> int:
        return len(self.data) + len(self.result) + ENTRY_BYTES


class Results:
    """Contracts' results by key. Safe for several threads."""

    def __init__(
        self, limit_bytes: int = CACHE_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache: Cache[bytes] = Cache(limit_bytes)
        self._clock = clock
        self._fresh: OrderedDict[Key, None] = OrderedDict()
        self._unchecked: deque[Unchecked] = deque()
        self._unchecked_bytes = 0
        self._wrong: OrderedDict[str, float] = OrderedDict()
        """When a device was last found wrong."""
        self.retracted = 0
        """Results taken back so far. Whoever holds some of his own asks again when it grows."""
        self._lock = threading.Lock()

    def find(self, key: Key) -> bytes | None:
        return self._cache.get(b"".join(key))

    def peek(self, key: Key) -> bytes | None:
        """As `find`, but it counts for no look-up."""
        return self._cache.peek(b"".join(key))

    def keep(self, key: Key, result: bytes) -> None:
        if len(result) > RESULT_BYTES:
            return
        self._cache.put(b"".join(key), result, len(result) + ENTRY_BYTES)
        with self._lock:
            self._fresh[key] = None
            if len(self._fresh) > FRESH:
                self._fresh.popitem(last=False)

    def doubt(
        self, device: str, model: bytes, data: bytes, key: Key, result: bytes, began: float
    ) -> bool:
        """Remember for a while who computed what nobody has checked; False, and it is forgotten,
        where the device was found wrong since it ``began``. To be called once it is kept."""
        now = self._clock()
        doubted = Unchecked(now, device, model, data, key, result)
        with self._lock:
            is_believed = self._wrong.get(device, -1.0) < began
            if is_believed:
                self._remember(doubted, now)
        if not is_believed:
            self._take_back([key])
        return is_believed

    def drop(self, device: str) -> list[Unchecked]:
        """Forget what this device alone stands for; return it."""
        now = self._clock()
        oldest = now - DOUBT_SECONDS
        with self._lock:
            self._wrong[device] = now
            self._wrong.move_to_end(device)
            if len(self._wrong) > DEVICES:
                self._wrong.popitem(last=False)
            gone = [each for each in self._unchecked if each.device == device]
            self._unchecked = deque(each for each in self._unchecked if each.device != device)
            self._unchecked_bytes -= sum(each.size for each in gone)
        self._take_back([each.key for each in gone])
        return [each for each in gone if each.at >= oldest]

    def clear(self) -> None:
        self._take_back([_split(joined) for joined in self._cache.snapshot()])

    def take_fresh(self) -> dict[Key, bytes]:
        """Results kept since the last time that are still here."""
        with self._lock:
            fresh, self._fresh = self._fresh, OrderedDict()
        known = ((key, self.peek(key)) for key in fresh)
        return {key: result for key, result in known if result is not None}

    def refresh(self) -> None:
        """Let the next `take_fresh` give all that are kept."""
        with self._lock:
            for joined in self._cache.snapshot():
                self._fresh[_split(joined)] = None

    def counts(self) -> CacheCounts:
        return self._cache.counts()

    def _take_back(self, keys: Sequence[Key]) -> None:
        """They are counted last: who then asks again must not find one."""
        for key in keys:
            self._cache.forget(b"".join(key))
        with self._lock:
            for key in keys:
                self._fresh.pop(key, None)
            self.retracted += len(keys)

    def _remember(self, doubted: Unchecked, now: float) -> None:
        """With the lock held."""
        self._unchecked.append(doubted)
        self._unchecked_bytes += doubted.size
        while self._unchecked and (
            self._unchecked_bytes > DOUBT_BYTES or self._unchecked[0].at < now - DOUBT_SECONDS
        ):
            self._unchecked_bytes -= self._unchecked.popleft().size


def _split(joined: bytes) -> Key:
    """An infohash has 20 bytes."""
    return joined[:20], joined[20:]
