"""Requests that a worker has taken: bounded, and those for one model served together."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from farmctl.inference.messages import InferReply, InferRequest

#: Served together; more only makes the first wait for the last.
BATCH_LIMIT = 32


@dataclass(eq=False)
class Waiting:
    """A request whose sender waits."""

    request: InferRequest
    reply: asyncio.Future[InferReply]
    came: float
    """By the monotonic clock."""

    def is_late(self) -> bool:
        return time.monotonic() > self.came + self.request.seconds


class Requests:
    """Oldest first; the model of the oldest that can be served takes its others along."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queues: dict[str, deque[tuple[int, Waiting]]] = {}
        self._turns = itertools.count()
        self.held = 0
        """Taken and not answered."""

    @property
    def is_full(self) -> bool:
        return self.held >= self._limit

    def models(self) -> Iterator[str]:
        """Those that are waited for, in the order in which their oldest request came."""
        return iter(sorted(self._queues, key=lambda model: self._queues[model][0][0]))

    async def put(self, request: InferRequest, came: Callable[[], None]) -> InferReply:
        """Wait until it is answered; ``came`` is called once it is in."""
        reply: asyncio.Future[InferReply] = asyncio.get_running_loop().create_future()
        waiting = Waiting(request, reply, time.monotonic())
        self._queues.setdefault(request.model, deque()).append((next(self._turns), waiting))
        self.held += 1
        came()
        try:
            return await reply
        finally:
            self.held -= 1

    def take(self, model: str, most: int) -> list[Waiting]:
        """The oldest requests for a model, to be served together."""
        queue = self._queues[model]
        taken = [queue.popleft()[1] for _ in range(min(len(queue), most))]
        if not queue:
            del self._queues[model]
        return taken
