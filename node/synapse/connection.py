"""An HTTP connection that is ended where its caller dawdles or brings too many."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Of a request beside its body, which nothing else bounds: its head, trailers and framing.
HEAD_BYTES = 64 * 1024


class Doorkeeper:
    """Makes the connections of one server and counts them."""

    def __init__(self, most: int, most_of_caller: int, receive_seconds: float) -> None:
        self._most, self._most_of_caller = most, most_of_caller
        self.receive_seconds = receive_seconds
        self._open: Counter[str] = Counter()
        self.refused = 0
        """Connections that were one too many."""
        self.ended = 0
        """Connections whose request did not come whole in time, or was too much beside its body."""

    @property
    def connections(self) -> int:
        return self._open.total()

    def admit(self, address: str) -> bool:
        if self.connections >= self._most or self._open[address] >= self._most_of_caller:
            self.refused += 1
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def make(self, *arguments: Any, **named: Any) -> GuardedConnection:
        return GuardedConnection(self, *arguments, **named)


class GuardedConnection(HttpToolsProtocol):
    """A request has to come whole within a time from the connection's beginning or its own, and
    little more than `HEAD_BYTES` beside its body."""

    def __init__(self, keeper: Doorkeeper, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._keeper = keeper
        self._address: str | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        """Received since the request's beginning, without its body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if not self._keeper.admit(address):
            transport.abort()
            return
        self._address = address
        self._begin_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_waiting()
        if self._address is not None:
            self._keeper.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > HEAD_BYTES:
            self._keeper.ended += 1
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._begin_waiting()
        self._head_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self._head_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._end_waiting()
        super().on_message_complete()

    def _begin_waiting(self) -> None:
        if self._patience is None:
            seconds = self._keeper.receive_seconds
            self._patience = self.loop.call_later(seconds, self._lose_patience)

    def _end_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._keeper.ended += 1
        self.transport.abort()
