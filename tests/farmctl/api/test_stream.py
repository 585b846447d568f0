"""The event stream over real HTTP, as a browser reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from farmctl.config import Config
from farmctl.controller import Server, build_server
from farmctl.domain import Workload
from farmctl.farm import Farm
from tests.farmctl.farms import KEY, acknowledge, enrol, running_farm

SECONDS = 20


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made:
        yield made


@asynccontextmanager
async def serving(farm: Farm) -> AsyncIterator[Server]:
    server = build_server(farm)
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    yield server
    server.stop()
    await asyncio.wait_for(task, SECONDS)


@asynccontextmanager
async def listening(farm: Farm) -> AsyncIterator[AsyncIterator[str]]:
    """Lines of a new connection to the stream, from when the controller knows of it."""
    headers = {"Authorization": f"Bearer {farm.config.admin_token.read_text()}"}
    url = f"{farm.config.api_url}/v1/stream"
    before = farm.live.listeners
    async with (
        asyncio.timeout(SECONDS),
        httpx.AsyncClient(headers=headers, timeout=SECONDS) as client,
        client.stream("GET", url) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        while farm.live.listeners == before:
            await asyncio.sleep(0.01)
        yield answer.aiter_lines()


async def next_kind(lines: AsyncIterator[str]) -> str:
    async for line in lines:
        if line.startswith("event: "):
            return line.removeprefix("event: ")
    return "the end"


async def test_changes_arrive_on_every_connection_and_on_the_next_one(farm: Farm) -> None:
    await enrol(farm)
    async with serving(farm):
        async with listening(farm) as one, listening(farm) as other:
            await farm.requests.switch(KEY, Workload.IDLE, True, None, "ann")
            await acknowledge(farm)
            for lines in (one, other):
                assert [await next_kind(lines), await next_kind(lines)] == ["event", "switch"]
        while farm.live.listeners:  # those who left are forgotten
            await asyncio.sleep(0.01)
        async with listening(farm) as again:
            farm.tell("test", "x", "text")
            assert await next_kind(again) == "event"


async def test_an_open_stream_ends_with_the_server(farm: Farm) -> None:
    async with serving(farm) as server, listening(farm) as lines:
        server.stop()
        assert await next_kind(lines) == "the end"


async def test_the_stream_needs_a_token(farm: Farm) -> None:
    async with serving(farm), httpx.AsyncClient() as client:
        answer = await client.get(f"{farm.config.api_url}/v1/stream")
        assert answer.status_code == 401
