"""Keeps the garbage collector from stopping the pool.

Each connection is a few dozen objects that live for hours; walking those of 10,000 miners stops
every thread for a quarter of a second, and Python does so whenever their number has grown by a
quarter. So they are set aside (`gc.freeze`) as they come; reference counts still free them. What
was garbage among them is found by a whole collection now and then.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass

#: New connections before they are set aside,
FREEZE_CONNECTIONS = 500
#: and the time between whole collections.
COLLECT_SECONDS = 120.0


@dataclass
class Collection:
    collected_at: float
    _admitted: int = 0

    def note(self) -> None:
        """A connection was admitted."""
        self._admitted += 1
        if self._admitted >= FREEZE_CONNECTIONS:
            self._admitted = 0
            gc.collect(1)  # young garbage is not to be set aside
            gc.freeze()

    def collect(self, now: float) -> None:
        """A whole collection, if one is due."""
        if now - self.collected_at < COLLECT_SECONDS:
            return
        self.collected_at = now
        gc.unfreeze()
        gc.collect()
        gc.freeze()
