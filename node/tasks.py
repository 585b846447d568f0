"""Ending asyncio's tasks."""

from __future__ import annotations

import asyncio
from typing import Any

#: What a task may take to clean up before it is asked again.
AGAIN_SECONDS = 5.0


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait until they have ended; what they raise is dropped.

    A cancellation can be lost: until Python 3.12 ``asyncio.wait_for`` drops one that comes at the
    moment at which what it waits for is there. So those that go on are cancelled again.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
