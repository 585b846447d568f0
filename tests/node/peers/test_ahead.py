from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from node.peers.ahead import ahead


async def count(most: int, failure: Exception | None = None) -> AsyncIterator[int]:
    for number in range(most):
        yield number
    if failure is not None:
        raise failure


async def test_everything_comes_in_order() -> None:
    assert [n async for n in ahead(count(7), 2)] == list(range(7))


async def test_a_failure_comes_after_what_was_before_it() -> None:
    got = []
    with pytest.raises(ValueError, match="no more"):
        async for number in ahead(count(5, ValueError("no more")), 2):
            got.append(number)
    assert got == [0, 1, 2, 3, 4]


async def test_who_stops_early_is_not_held_up_by_a_full_queue() -> None:
    async with asyncio.timeout(5):
        async with aclosing(ahead(count(100), 2)) as numbers:
            async for _ in numbers:
                await asyncio.sleep(0.01)
                break
