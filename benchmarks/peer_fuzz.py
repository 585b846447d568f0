"""A node's peers under nonsense: mutated conversations over real TLS, for ten minutes.

Several connections at once say what a peer might, damaged in kind, length, request number and
content; some before they greet, some in fragments, some over bare TCP. After each round an honest
peer must still be served and follow the chain, within seconds: anything else ends the run.
``--quick``: five seconds; ``--seconds N``: as long as you like.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.node import CHAIN, Clock, make_block, open_node
from farmctl.cycles import verify_cycle
from node.core import Node
from node.importing import Imported
from node.peers.door import dial
from node.peers.errors import PeerError
from node.peers.feed import FeedStatus
from node.peers.handshake import Terms, greet_listener
from node.peers.identity import Identity
from node.peers.library import Library
from node.peers.limits import PeerLimits
from node.peers.link import Link
from node.peers.service import PeerService
from node.peers.settings import PeerSection, PeerSettings
from node.peers.wire import (
    PREFIX,
    Hello,
    Kind,
    encode_hashes,
    encode_new_block,
    encode_range,
    encode_status,
    encode_text,
)
from node.spec import rlp
from node.spec.types import Block

SECONDS, QUICK_SECONDS = 600.0, 5.0
AT_ONCE = 6
HANG_SECONDS = 60.0
#: Times are short, so that whoever is left waiting is seen within a round.
LIMITS = PeerLimits(
    handshake_seconds=2.0,
    request_seconds=2.0,
    frame_seconds=1.0,
    write_seconds=2.0,
    idle_seconds=5.0,
    ping_seconds=1.0,
    redial_seconds=0.05,
    redial_most_seconds=0.2,
    round_seconds=0.2,
    compare_seconds=1.0,
    request_burst=2000.0,
    block_burst=2000.0,
)
EDGES = (0, 1, 0x7F, 0x80, 0xB7, 0xB8, 0xBF, 0xC0, 0xF7, 0xF8, 0xFF)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help="how long")
    parser.add_argument("--seed", type=int, help="of a run to be repeated")


class Sender:
    """Messages of a real chain, and damaged ones."""

    def __init__(self, blocks: Sequence[Block], hello: Hello) -> None:
        self._blocks, self._hello = blocks, hello

    def message(self, chance: random.Random) -> tuple[int, int, bytes]:
        """Kind, request number and payload of something a peer might say, or nearly."""
        kind, payload = self._proper(chance)
        if chance.random() < 0.7:
            payload = damage(chance, payload)
        number: int = kind
        if chance.random() < 0.05:
            number = chance.randrange(256)
        return number, chance.choice((0, 1, 2, chance.getrandbits(32))), payload

    def frame(self, chance: random.Random) -> bytes:
        kind, request, payload = self.message(chance)
        length = len(payload)
        if chance.random() < 0.05:
            length = chance.choice((0, length + 1, length - 1, 2**31, 2**32 - 1)) & 0xFFFFFFFF
        return PREFIX.pack(length, kind, request) + payload

    def _proper(self, chance: random.Random) -> tuple[Kind, bytes]:
        block = chance.choice(self._blocks)
        header = block.header
        boast = FeedStatus(
            chance.choice((header.hash(), chance.randbytes(32))),
            chance.choice((header.number, chance.getrandbits(chance.randrange(1, 64)))),
            chance.getrandbits(chance.choice((4, 16, 80, 256))),
        )
        hashes = encode_hashes([b.hash() for b in self._blocks[: chance.randrange(130)]])
        made = replace(header, **{chance.choice(FIELDS): chance.getrandbits(16)})
        transactions = rlp.join_list([t.encode() for b in self._blocks for t in b.transactions])
        return chance.choice(
            (
                (Kind.HELLO, self._hello.encode()),
                (Kind.GOODBYE, encode_text("farewell")),
                (Kind.PING, encode_status(boast)),
                (Kind.PONG, encode_status(boast)),
                (Kind.GET_HEADERS, encode_range(chance.getrandbits(20), chance.getrandbits(20))),
                (Kind.HEADERS, rlp.join_list([b.header.encode() for b in self._blocks])),
                (Kind.GET_BODIES, hashes),
                (Kind.BODIES, rlp.join_list([block.encode()])),
                (Kind.NEW_HEAD, encode_status(boast)),
                (Kind.NEW_BLOCK, encode_new_block(replace(block, header=made), 99)),
                (Kind.NEW_BLOCK, encode_new_block(block, 99)),
                (Kind.TRANSACTION_HASHES, hashes),
                (Kind.GET_TRANSACTIONS, hashes),
                (Kind.POOLED_TRANSACTIONS, transactions),
                (Kind.TRANSACTIONS, transactions),
            )
        )


#: Whole numbers of a header.
FIELDS = ("difficulty", "number", "gas_limit", "gas_used", "timestamp", "quota", "supply")


def damage(chance: random.Random, payload: bytes) -> bytes:
    """The bytes with some changed, cut out, repeated, nested or made up."""
    at = chance.randrange(len(payload) + 1)
    kind = chance.randrange(8)
    if kind == 0:
        return payload[:at] + bytes([chance.choice(EDGES)]) + payload[at + 1 :]
    if kind == 1:
        return payload[:at] + payload[at + chance.randrange(1, 40) :]
    if kind == 2:
        return payload[:at]
    if kind == 3:
        return bytes([chance.choice(EDGES)]) * chance.randrange(1, 100_000)
    if kind == 4:
        return chance.randbytes(chance.randrange(3000))
    if kind == 5:
        return rlp.join_list([payload] * chance.randrange(1, 40))
    if kind == 6:
        return payload[:at] + payload * 2 + payload[at:]
    changed = bytearray(payload)
    for _ in range(chance.randrange(1, 9)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.choice((*EDGES, chance.randrange(256)))
    return bytes(changed)


class Failures(logging.Handler):
    """Errors that the node caught at the top of a task and went on after: bugs all the same."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Target:
    """A node that listens, with an honest peer that follows it."""

    def __init__(self, home: Path) -> None:
        self.clock = Clock()
        self.failures = Failures()
        logging.getLogger("node").addHandler(self.failures)
        self.node = open_node(home / "target", self.clock)
        self.blocks = [make_block(self.node, self.clock, n, 3) for n in range(40)]
        self.service = self._serve(self.node, home / "target", ())
        self.other = open_node(home / "honest", self.clock)
        url = f"farm://127.0.0.1:{self.service.port}#{self.service.identity.fingerprint}"
        self.honest = self._serve(self.other, home / "honest", (PeerSection(url),))
        self.attacker = Identity(home / "attacker.pem")
        self.terms = Terms(CHAIN, self.node.store.canonical_hash(0) or b"")
        status = Library(self.node).status()
        self.sender = Sender(self.blocks, self.terms.hello(status))

    def _serve(self, node: Node, home: Path, peers: tuple[PeerSection, ...]) -> PeerService:
        async def take(blocks: Sequence[Block]) -> Imported:
            return await asyncio.to_thread(node.import_blocks, blocks)

        settings = PeerSettings(peers, "0.0.0.0:0" if not peers else "", True)
        file = home / "peer.pem"
        return PeerService(settings, node, take, verify_cycle, file, LIMITS, self.clock)

    async def __aenter__(self) -> Target:
        await self.service.start()
        await self.honest.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.honest.stop()
        await self.service.stop()
        logging.getLogger("node").removeHandler(self.failures)
        self.other.close()
        self.node.close()

    async def check(self, number: int) -> None:
        """The honest peer gets a new block in time, and every task lives. Raises RuntimeError."""
        await asyncio.to_thread(make_block, self.node, self.clock, number, 0)
        until = time.monotonic() + HANG_SECONDS
        while self.other.head() != self.node.head():
            if time.monotonic() > until:
                raise RuntimeError(f"the honest peer is not served: {self.honest.board()}")
            await asyncio.sleep(0.01)
        if self.failures.records:
            raise RuntimeError(f"the node says: {self.failures.records[0].getMessage()}")
        for service in (self.service, self.honest):
            if any(task.done() for task in service.tasks):
                raise RuntimeError("a task of the node has ended")

    def forgive(self) -> None:
        """Every attacker may come again."""
        self.service.roster.scores = type(self.service.roster.scores)()


@dataclass
class Counts:
    conversations: int = 0
    frames: int = 0
    bytes: int = 0
    greeted: int = 0
    hung_up: int = 0


async def converse(target: Target, chance: random.Random, counts: Counts) -> None:
    """Say nonsense until the node hangs up or all is said; then it must hang up within its times.
    Raises `RuntimeError` where it does not."""
    counts.conversations += 1
    try:
        async with asyncio.timeout(HANG_SECONDS):
            if chance.random() < 0.1:
                await _babble(target, chance)
            else:
                await _talk(target, chance, counts)
    except TimeoutError as error:
        raise RuntimeError("the node neither answers nor hangs up") from error


async def _babble(target: Target, chance: random.Random) -> None:
    """Bytes that are not even TLS."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.service.port)
    with suppress(OSError):
        writer.write(chance.randbytes(chance.randrange(3000)))
        await reader.read()
    writer.close()


async def _talk(target: Target, chance: random.Random, counts: Counts) -> None:
    address = ("127.0.0.1", target.service.port or 0)
    try:
        link, listener = await dial(address, "", target.attacker, LIMITS)
    except PeerError:
        return  # no room, or the last one's ban
    listening: asyncio.Task[None] | None = None
    try:
        if chance.random() < 0.9:
            status = FeedStatus(target.terms.genesis, 0, 0)
            await greet_listener(link, target.terms, target.attacker, listener, status)
            counts.greeted += 1
        listening = asyncio.create_task(_listen(link))
        for _ in range(chance.randrange(1, 60)):
            frame = target.sender.frame(chance)
            counts.frames += 1
            counts.bytes += len(frame)
            link.send_raw(frame[: chance.choice((len(frame), len(frame), chance.randrange(9999)))])
            if chance.random() < 0.2:
                await asyncio.sleep(chance.random() * 0.02)
        await listening
    except PeerError:
        pass
    finally:
        counts.hung_up += 1
        if listening is not None:
            listening.cancel()
        await link.close()


async def _listen(link: Link) -> None:
    """Read what comes, and answer nothing."""
    with suppress(PeerError):
        while True:
            await link.read_payload(await link.read_prefix())


def held_memory() -> float:
    """Megabytes that this process holds, the attackers' among them: without files, which the
    chains' databases are, and without what only waits to be collected."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3


async def attack(home: Path, seconds: float, seed: int) -> dict[str, Any]:
    chance, counts = random.Random(seed), Counts()
    target = await asyncio.to_thread(Target, home)
    async with target:
        began = time.monotonic()
        memory, middle = held_memory(), 0.0
        number = len(target.blocks) * 3
        slowest = 0.0
        while time.monotonic() - began < seconds:
            talks = [
                converse(target, random.Random(chance.getrandbits(64)), counts)
                for _ in range(AT_ONCE)
            ]
            await asyncio.gather(*talks)
            target.forgive()  # the honest one dials from the same address
            asked = time.monotonic()
            await target.check(number)
            slowest = max(slowest, time.monotonic() - asked)
            if not middle and time.monotonic() - began > seconds / 2:
                middle = held_memory()
        return {
            "seed": seed,
            "conversations": counts.conversations,
            "greeted": counts.greeted,
            "frames": counts.frames,
            "megabytes": counts.bytes / 1e6,
            "blocks_followed": target.node.head().number - len(target.blocks),
            "slowest_check_seconds": slowest,
            "memory_grown_megabytes": held_memory() - memory,
            "of_it_in_the_second_half": held_memory() - middle,
        }


def run(quick: bool, seconds: float | None = None, seed: int | None = None) -> dict[str, Any]:
    chosen = random.getrandbits(32) if seed is None else seed
    for name in ("node.peers", "asyncio"):  # each ban is a warning
        logging.getLogger(name).setLevel(logging.ERROR)
    print(f"seed {chosen}", flush=True)
    span = seconds or (QUICK_SECONDS if quick else SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        return {"rows": [asyncio.run(attack(Path(folder), span, chosen))]}
