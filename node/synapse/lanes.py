"""Threads for what blocks, given out by rank."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Lanes:
    """So many calls at a time; of those that wait, the lowest rank goes first, then the oldest."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "synapse")
        self._free = threads
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def run(self, rank: int, call: Callable[[], T]) -> T:
        await self._enter(rank)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._leave()

    def close(self) -> None:
        """What runs still ends; what waits does not begin."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _enter(self, rank: int) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._order), turn))
        await turn

    def _leave(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
