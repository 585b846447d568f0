"""How much a peer may ask of this node, and how long it may take."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class PeerLimits:
    """Tests shorten the times; nobody else has a reason to change these."""

    peers: int = 25
    """Connections at once, in both directions."""
    from_one_address: int = 8
    handshake_seconds: float = 10.0
    request_seconds: float = 15.0
    frame_seconds: float = 20.0
    """A frame that has begun must be complete within this,"""
    write_seconds: float = 20.0
    """and one that is sent must be taken within this."""
    ping_seconds: float = 5.0
    idle_seconds: float = 45.0
    """A peer silent for so long is gone; each is pinged more often."""
    redial_seconds: float = 2.0
    redial_most_seconds: float = 60.0
    round_seconds: float = 2.0
    """Pause between looks at what the feeds have."""
    compare_seconds: float = 30.0
    queued_frames: int = 256
    queued_bytes: int = 16 * 1024 * 1024
    """What waits to be sent to a peer; a slower one is dropped."""
    requests_per_second: float = 50.0
    request_burst: float = 200.0
    transactions_per_second: float = 200.0
    transaction_burst: float = 4096.0
    blocks_per_second: float = 4.0
    block_burst: float = 64.0


class Allowance:
    """A bucket of tokens, filled at a steady rate."""

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = per_second, burst, clock
        self._tokens, self._at = burst, clock()

    def take(self, count: int = 1) -> bool:
        """Whether so many are left; then they are used."""
        self._fill()
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def wait_seconds(self, count: int = 1) -> float:
        """Use so many, in advance if need be, and say how long to wait for them."""
        self._fill()
        self._tokens -= count
        return max(0.0, -self._tokens / self._rate)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Known:
    """Hashes that a peer has or was told of; the oldest are forgotten."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hashes: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._hashes

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._hashes[key] = None
        while len(self._hashes) > self._limit:
            self._hashes.popitem(last=False)
