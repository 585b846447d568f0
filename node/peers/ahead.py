"""Fetching the next while the last is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def ahead(source: AsyncIterator[T], depth: int) -> AsyncGenerator[T, None]:
    """The items of ``source``, up to ``depth`` of them made in advance. What it raises comes
    after the items before. Close it to stop the source."""
    queue: asyncio.Queue[T | None] = asyncio.Queue(depth)

    async def fill() -> None:
        try:
            async for item in source:
                await queue.put(item)
        except asyncio.CancelledError:
            raise  # nobody takes anything any more, and the queue may be full
        except BaseException:
            await queue.put(None)
            raise
        await queue.put(None)

    filling = asyncio.create_task(fill())
    try:
        while (item := await queue.get()) is not None:
            yield item
        await filling
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
