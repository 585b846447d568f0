"""Browsers as devices, over a real WebSocket; this test answers in the place of a browser, by the
farm's own processor."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets

from drivers import selftest
from farmctl.config import Config
from farmctl.farm import Farm
from tests.farmctl.api.test_stream import serving
from tests.farmctl.farms import running_farm

IDENTITY = "0123456789abcdef0123456789abcdef"
SECONDS = 20


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made, serving(made):
        yield made


class StandIn:
    """Speaks as a browser's page does."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"kind": kind, **fields}))

    async def hear(self, *kinds: str) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["kind"] in kinds:
                    return message

    async def greet(self, identity: str = IDENTITY) -> None:
        await self.say("hello", hardware_id=identity, model="Chrome 140 on Android", cores=4)

    async def pass_tests(self) -> None:
        search = await self.hear("search")
        assert len(search["keys"]) == selftest.CUCKOO_GRAPHS
        answer = selftest.CUCKOO_ANSWER
        await self.say("found", id=search["id"], graph=answer.nonce, edges=answer.edges)
        await self.say("searched", id=search["id"], graphs=selftest.CUCKOO_GRAPHS, seconds=0.1)
        await self.answer(await self.hear("infer"), selftest.INFER_ANSWER)

    async def answer(self, asked: dict[str, Any], words: tuple[int, ...]) -> None:
        output = b"".join(word.to_bytes(4, "little", signed=True) for word in words)
        text = urlsafe_b64encode(output).decode()
        await self.say("inferred", id=asked["id"], output=text, seconds=0.1)


@asynccontextmanager
async def connected(farm: Farm, origin: str | None = None) -> AsyncIterator[StandIn]:
    headers = {"Authorization": f"Bearer {farm.config.admin_token.read_text()}"}
    url = farm.config.api_url.replace("http", "ws", 1) + "/v1/lend"
    async with websockets.connect(url, additional_headers=headers, origin=origin) as socket:
        yield StandIn(socket)


async def test_known_answers_make_it_a_proved_device(farm: Farm) -> None:
    async with connected(farm) as browser:
        await browser.greet()
        await browser.pass_tests()
        standing = await browser.hear("standing")
        while not standing["proved"]:
            standing = await browser.hear("standing")
