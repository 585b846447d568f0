"""How many requests a client may make: a bucket of tokens for each address."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_ADDRESSES = 4096
#: A client that was quiet may make this many seconds' worth of requests at once.
BURST_SECONDS = 2.0


class RateLimiter:
    """Used on the event loop alone. ``per_second`` 0 lets everything through."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Count one request; False where the address has made too many."""
        if not self._rate:
            return True
        now, most = self._clock(), self._rate * BURST_SECONDS
        tokens, since = self._buckets.pop(address, (most, now))
        tokens = min(most, tokens + (now - since) * self._rate)
        self._buckets[address] = (max(0.0, tokens - 1), now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return tokens >= 1
