"""That tasks end."""

from __future__ import annotations

import asyncio

import pytest

from node import tasks


async def test_a_task_that_lost_its_cancellation_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    lost = 0

    async def lose_one() -> None:
        """As `asyncio.wait_for` may."""
        nonlocal lost
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(lose_one())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await tasks.end_tasks(task)
    assert task.cancelled() and lost == 1


async def test_cleaning_up_is_waited_for() -> None:
    cleaned = []

    async def clean() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(True)

    running, failed = asyncio.create_task(clean()), asyncio.create_task(fail())
    await asyncio.sleep(0)
    await tasks.end_tasks(running, failed)
    assert cleaned == [True] and isinstance(failed.exception(), ValueError)


async def fail() -> None:
    raise ValueError
