"""The JSON-RPC on nonsense, over HTTP, WebSocket and bare TCP. Every answer must be a result or a
typed error; none may be missing; a client that asks properly is served all the while."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.node_fuzz.questions import SOCKET_METHODS, Questions
from benchmarks.node_fuzz.rlp import memory_megabytes
from benchmarks.rpc_target import OWNER, Target, balance_call, serve_chain
from benchmarks.stratum_fuzz import damage
from node.rpc.settings import RpcSettings

ANSWER_SECONDS = 60.0
AT_ONCE = 8
BLOCKS, TRANSFERS = 6, 10
#: Some are tighter than usual, so that they are met.
SETTINGS = RpcSettings(
    requests_per_second=0, call_seconds=1.0, call_gas=5_000_000, max_filters=32, max_websockets=16
)
TYPED = {-32700, -32600, -32601, -32602, -32000, -32001, -32005, 3}
PLAIN = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "


class Alarm(logging.Handler):
    """Counts what the node itself calls a failure."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


class Attack:
    def __init__(self, target: Target, chance: random.Random, client: httpx.AsyncClient) -> None:
        self._target = target
        self._chance = chance
        self._client = client
        self._questions = Questions(target, chance)
        self.counts: Counter[str] = Counter()

    async def round(self) -> None:
        chance = self._chance
        kinds = (self.post, self.post, self.post, self.talk, self.stammer)
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.gather(*(chance.choice(kinds)() for _ in range(AT_ONCE)))
            await self.ask_properly()

    async def post(self) -> None:
        body = self._questions.body()
        reply = await self._client.post(f"http://{self._target.address}", content=body)
        if reply.status_code not in (200, 204):
            raise RuntimeError(f"{reply.status_code} for {body[:2000]!r}")
        if reply.status_code == 200:
            self.judge(reply.json(), body)

    async def talk(self) -> None:
        """Several questions on a WebSocket, some of which subscribe."""
        with suppress(ConnectionClosed):
            async with connect(f"ws://{self._target.address}", open_timeout=None) as socket:
                for _ in range(self._chance.randrange(1, 6)):
                    await self.say(socket)

    async def say(self, socket: ClientConnection) -> None:
        body = self._questions.body(SOCKET_METHODS)
        is_text = self._chance.random() < 0.9
        await socket.send(body.decode(errors="replace") if is_text else body)
        await socket.send('{"id": "end", "method": "eth_chainId"}')
        while True:
            said = json.loads(await socket.recv())
            if isinstance(said, dict) and said.get("id") == "end":
                return
            if not (isinstance(said, dict) and "method" in said):
                self.judge(said, body)

    async def stammer(self) -> None:
        """What is hardly HTTP; the node may hang up."""
        host, port = self._target.address.split(":")
        body = self._questions.body()
        text = PLAIN + str(len(body)).encode() + b"\r\n\r\n" + body
        reader, writer = await asyncio.open_connection(host, int(port))
        with suppress(OSError):
            writer.write(damage(self._chance, text))
            await writer.drain()
            writer.write_eof()
            await reader.read()
        writer.close()
        self.counts["stammered"] += 1

    def judge(self, said: Any, body: bytes) -> None:
        """Raises `RuntimeError` on what is no proper answer."""
        for reply in said if isinstance(said, list) else [said]:
            error = reply.get("error")
            if error is None and "result" not in reply:
                raise RuntimeError(f"{reply!r} for {body[:2000]!r}")
            if error is not None and error["code"] not in TYPED:
                raise RuntimeError(f"{error!r} for {body[:2000]!r}")
            self.counts["errors" if error else "answers"] += 1
            result = reply.get("result")
            if isinstance(result, str) and 3 < len(result) < 40:
                self._questions.idents = [*self._questions.idents[-20:], result]

    async def ask_properly(self) -> None:
        """Raises `RuntimeError` where the node does not answer as it should."""
        call = {"id": 1, "method": "eth_call", "params": [balance_call(OWNER), "latest"]}
        reply = await self._client.post(f"http://{self._target.address}", json=call)
        if int(reply.json().get("result", "0x0"), 16) != 10**24 - BLOCKS * TRANSFERS:
            raise RuntimeError(f"an honest client was told {reply.text}")
        while not await self._talk_properly():
            await asyncio.sleep(0.01)  # those who left take their time to be gone

    async def _talk_properly(self) -> bool:
        """Whether there is a place, which there must be soon."""
        with suppress(ConnectionClosed):
            async with connect(f"ws://{self._target.address}", open_timeout=None) as socket:
                await socket.send('{"id": 1, "method": "eth_chainId"}')
                return bool(json.loads(await socket.recv())["result"])
        return False


def fuzz_rpc(seconds: float, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_fuzz(Path(folder), seconds, seed))


async def _fuzz(home: Path, seconds: float, seed: int) -> dict[str, Any]:
    alarm = Alarm()
    for name in (None, "uvicorn.error"):
        logging.getLogger(name).addHandler(alarm)
    async with _attack(home, random.Random(seed)) as attack:
        await attack.round()
        began = time.monotonic()
        memory = middle = memory_megabytes()
        while time.monotonic() - began < seconds:
            await attack.round()
            if alarm.heard:
                raise RuntimeError(f"seed {seed}: the node failed: {alarm.heard[0]}")
            if time.monotonic() - began < seconds / 2:
                middle = memory_megabytes()
        children = psutil.Process().children()
        return {
            "seed": seed,
            **attack.counts,
            "memory_grown_megabytes": memory_megabytes() - memory,
            "of_it_in_the_second_half": memory_megabytes() - middle,
            "largest_child_megabytes": max(c.memory_info().rss for c in children) / 1e6,
        }


@asynccontextmanager
async def _attack(home: Path, chance: random.Random) -> AsyncIterator[Attack]:
    async with (
        serve_chain(home, BLOCKS, TRANSFERS, SETTINGS) as target,
        httpx.AsyncClient(timeout=ANSWER_SECONDS) as client,
    ):
        yield Attack(target, chance, client)
