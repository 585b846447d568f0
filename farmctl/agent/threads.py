"""Calls into drivers with a deadline: a driver that hangs keeps its thread, not the agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def call_with_deadline(function: Callable[[], T], seconds: float, name: str) -> T:
    """Run ``function`` in a thread of its own. Raises TimeoutError when it takes longer; the
    thread is then left behind (it is a daemon: it does not keep the process)."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def deliver(value: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value: T | None = None
        failure: BaseException | None = None
        try:
            value = function()
        except Exception as error:  # noqa: BLE001 - handed over to the caller
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, value, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wait_for(outcome, seconds)
