"""The pool under nonsense: mutated conversations over real sockets, for ten minutes.

After each, an honest miner must still log in, get work and be answered: anything else, or a
connection that is neither answered nor closed, ends the run. ``--quick``: five seconds.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from farmctl.cycles import verify_cycle
from node.chains.farmnet import FARMNET
from node.core import Node
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.crypto import private_address
from node.spec.types import Block
from node.stratum.server import StratumServer
from node.stratum.settings import StratumSettings

SECONDS, QUICK_SECONDS = 600.0, 5.0
SECRET = b"\x31" * 32
ANSWER_SECONDS = 10.0
AT_ONCE = 20
ADDRESSES = 250
#: Words of the protocol, and values that have broken parsers before.
WORDS: tuple[Any, ...] = (
    *("ctxc_submitLogin", "ctxc_getWork", "ctxc_submitWork", "eth_submitHashrate", "x"),
    *("0x" + "a1" * 20, "0x" + "00" * 8, "0x" + "00" * 32, "0x" + "00" * 168, "0x" + " 1" * 168),
    *("", "0x", "\ud800", "\x00", "é" * 100, "9" * 3000, 0, -1, 2**63, 10**300, 1e308),
    *(None, True, [], {}, [[]] * 9, {"a": {}}, [None] * 8),
)
KEYS = ("id", "method", "params", "worker", "jsonrpc", "", "id")


def line(chance: random.Random) -> bytes:
    """A request, more or less."""
    body: dict[str, Any] = {
        "id": chance.choice((1, 72, 100)),
        "method": chance.choice(WORDS[:5]),
        "params": [chance.choice(WORDS) for _ in range(chance.randrange(5))],
    }
    for _ in range(chance.randrange(3)):
        body[chance.choice(KEYS)] = chance.choice(WORDS)
    return damage(chance, json.dumps(body).encode())


def damage(chance: random.Random, text: bytes) -> bytes:
    """The text with some bytes changed, cut out, repeated or nested."""
    kind = chance.randrange(8)
    at = chance.randrange(len(text))
    if kind == 0:
        return text[:at] + chance.randbytes(chance.randrange(1, 9)) + text[at:]
    if kind == 1:
        return text[:at] + text[at + chance.randrange(1, 20) :]
    if kind == 2:
        return text * chance.randrange(1, 12)
    if kind == 3:
        return b"[" * chance.randrange(1, 3000) + text
    if kind == 4:
        return chance.randbytes(chance.randrange(1, 6000))
    return text


class Target:
    """A pool with work on a node of its own."""

    def __init__(self, home: Path) -> None:
        loader = GraphLoader(DirectoryStorage(home / "models"))
        coinbase = private_address(SECRET)
        self.node = Node(FARMNET, home, loader, ReferenceEngine(loader), coinbase, verify_cycle)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        settings = StratumSettings(port=self.port, ban_seconds=1.0)
        self.pool = StratumServer(settings, self.node, self._import, verify_cycle, SECRET)

    async def _import(self, block: Block) -> None:
        await asyncio.to_thread(self.node.import_sealed, block)

    async def __aenter__(self) -> Target:
        self.pool.offer(self.node.refresh_work().block)
        await self.pool.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.stop()
        self.node.close()


async def converse(port: int, chance: random.Random) -> int:
    """Say nonsense until the pool hangs up or all is said; the lines that came back, each of
    which is whole JSON."""
    source = f"127.0.1.{1 + chance.randrange(ADDRESSES)}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    answers = 0
    try:
        for _ in range(chance.randrange(1, 30)):
            writer.write(line(chance) + chance.choice((b"\n", b"\n", b"\r\n", b"")))
            await asyncio.wait_for(writer.drain(), ANSWER_SECONDS)
        writer.write(b"\n")
        if writer.can_write_eof():
            writer.write_eof()
        while said := await asyncio.wait_for(reader.readline(), ANSWER_SECONDS):
            if not isinstance(json.loads(said), dict):
                raise RuntimeError(f"the pool said {said!r}")
            answers += 1
    except TimeoutError as error:
        raise RuntimeError("the pool neither answered nor hung up") from error
    except OSError:  # it hung up, as it may
        pass
    finally:
        writer.close()
    return answers


async def check_alive(port: int) -> None:
    """An honest miner is served. Raises `RuntimeError`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for ident, name, params in (
        (1, "ctxc_submitLogin", ["0x" + "a1" * 20]),
        (2, "ctxc_getWork", []),
    ):
        writer.write(json.dumps({"id": ident, "method": name, "params": params}).encode() + b"\n")
        said = json.loads(await asyncio.wait_for(reader.readline(), ANSWER_SECONDS))
        if said["id"] != ident or not said["result"]:
            raise RuntimeError(f"an honest miner was told {said}")
    writer.close()


def most_memory() -> float:
    """Megabytes of this process, the attackers' among them, at their most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


async def attack(home: Path, seconds: float, seed: int) -> dict[str, Any]:
    chance, conversations, answers = random.Random(seed), 0, 0
    async with Target(home) as target:
        began = time.monotonic()
        memory = middle = most_memory()
        while time.monotonic() - began < seconds:
            seeds = [chance.getrandbits(64) for _ in range(AT_ONCE)]
            said = [converse(target.port, random.Random(each)) for each in seeds]
            answers += sum(await asyncio.gather(*said))
            conversations += AT_ONCE
            await check_alive(target.port)
            if time.monotonic() - began < seconds / 2:
                middle = most_memory()
        counts = target.pool.pool.counts
        return {
            "seed": seed,
            "conversations": conversations,
            "answers": answers,
            "bad_lines": counts.bad_lines,
            "bans": counts.bans,
            "refused_connections": counts.refused_connections,
            "memory_grown_megabytes": most_memory() - memory,
            "of_it_in_the_second_half": most_memory() - middle,
        }


def run(quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = QUICK_SECONDS if quick else SECONDS
        return {"rows": [asyncio.run(attack(Path(folder), seconds, random.getrandbits(32)))]}
