"""What happens, told at once to whoever listens: the source of the API's event stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel

#: A listener that is further behind than this loses its connection and starts afresh.
BACKLOG = 500
LISTENERS = 200


@dataclass(frozen=True)
class Notice:
    kind: str
    """overview, device, block, switch, job or event."""
    body: BaseModel


Listener = asyncio.Queue[Notice | None]


@dataclass
class Live:
    """Fans notices out; never waits for a slow listener."""

    _listeners: set[Listener] = field(default_factory=set)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def tell(self, kind: str, body: BaseModel) -> None:
        for listener in list(self._listeners):
            try:
                listener.put_nowait(Notice(kind, body))
            except asyncio.QueueFull:
                self._drop(listener)

    def close(self) -> None:
        """End every listener's stream."""
        for listener in list(self._listeners):
            self._drop(listener)

    @contextlib.contextmanager
    def listen(self) -> Iterator[Listener]:
        """A queue of notices; ``None`` in it is the end."""
        listener: Listener = asyncio.Queue(BACKLOG)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def _drop(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        while not listener.empty():
            listener.get_nowait()
        listener.put_nowait(None)
