"""A new node follows a peer: blocks and transactions a second over TLS on loopback.

The peer is a process with a node of that chain in its store; the new node is another, with its
import process. ``frames``: bodies fetched and not even decoded, the limit of the connection;
``checked``: headers with their proof of work and bodies with their roots, nothing imported, the
limit of `node.peers`; ``whole``: followed to the peer's head. The chains are `benchmarks.blocks`'.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.blocks import Made, find_chain
from benchmarks.node import CHAIN
from benchmarks.sync import chunks
from farmctl.cycles import verify_cycle
from node.core import Node
from node.importing import Imported, Outcome
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.peers.feed import MAX_BODIES
from node.peers.service import PeerService
from node.peers.session import Session
from node.peers.settings import PeerSection, PeerSettings
from node.peers.sync import Import
from node.peers.wire import Kind, encode_hashes
from node.service import NodeService
from node.spec.types import Block

COUNT, QUICK_COUNT = 10_000, 300
KINDS = ("empty", "transfers", "infer")
WAYS = ("frames", "checked", "whole")
LOOK_SECONDS = 0.02
FRAME_SECONDS = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--blocks", type=int, help="how many")


def run(quick: bool, blocks: int | None = None) -> dict[str, Any]:
    count = blocks or (QUICK_COUNT if quick else COUNT)
    return {"rows": [row for kind in KINDS for row in measure(kind, count)]}


def measure(kind: str, count: int) -> Iterator[dict[str, Any]]:
    made = find_chain(kind, count)
    with running("source", made, made.folder / "source") as source:
        url = source()
        for way in WAYS:
            with tempfile.TemporaryDirectory() as home, running(way, made, home, url) as sink:
                yield {"blocks": kind, "way": way, **json.loads(sink())}


@contextmanager
def running(part: str, made: Made, home: Path | str, url: str = "") -> Iterator[Any]:
    """One of the two processes; yields what reads its next line."""
    words = (part, made.kind, str(made.count), str(home), url)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peer_sync", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline
        finally:
            process.stdin.close()


def main(part: str, kind: str, count: str, home: str, url: str) -> None:
    made = find_chain(kind, int(count))
    if part == "source":
        asyncio.run(serve(made, Path(home)))
    else:
        print(json.dumps(asyncio.run(follow(part, made, Path(home), url))), flush=True)


async def serve(made: Made, home: Path) -> None:
    """Be the peer until standard input ends. Its store is filled once, and kept."""
    made.copy_models(home)
    node = open_service(home).node
    if node.head().number < made.count:
        for chunk in chunks(made):
            check(node.import_blocks(chunk))

    async def refuse(blocks: Sequence[Block]) -> Imported:
        raise RuntimeError("nobody here has anything new")

    peers = open_peers(node, refuse, home, PeerSettings((), "127.0.0.1:0", True))
    await peers.start()
    print(f"farm://127.0.0.1:{peers.port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await peers.stop()
    node.close()


async def follow(way: str, made: Made, home: Path, url: str) -> dict[str, Any]:
    made.copy_models(home)
    service = open_service(home)
    await service.start()
    await asyncio.to_thread(service.node.importer.retry)  # its process is there
    checked = Counter()
    take: Import = service.import_blocks if way == "whole" else checked
    settings = PeerSettings((PeerSection(url),))
    peers = open_peers(service.node, take, home, settings)
    began, used = time.perf_counter(), time.process_time()
    await peers.start()
    if way == "frames":
        figures = await measure_frames(peers, made)
    else:
        done = service.node.head if way == "whole" else None
        while (done().number if done else checked.count) < made.count:
            await asyncio.sleep(LOOK_SECONDS)
        seconds = time.perf_counter() - began
        figures = {
            "blocks_per_second": made.count / seconds,
            "transactions_per_second": made.transactions / seconds,
            "megabytes_per_second": sum(map(len, made.read())) / seconds / 1e6,
            "node_cpu_milliseconds_each": (time.process_time() - used) / made.count * 1e3,
        }
    await peers.stop()
    await service.stop()
    return {**figures, "node_megabytes": most_memory()}


def most_memory() -> float:
    """Megabytes of this process at their most; `getrusage` would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


async def measure_frames(peers: PeerService, made: Made) -> dict[str, Any]:
    while not peers.roster.sessions:
        await asyncio.sleep(LOOK_SECONDS)
    (session,) = peers.roster.sessions.values()
    hashes = await read_hashes(session, made)
    began, size, blocks = time.perf_counter(), 0, 0
    while (seconds := time.perf_counter() - began) < FRAME_SECONDS:
        first = blocks % max(1, len(hashes) - MAX_BODIES)
        size += len(await session.ask(Kind.GET_BODIES, encode_hashes(hashes[first:][:MAX_BODIES])))
        blocks += MAX_BODIES
    return {
        "blocks_per_second": blocks / seconds,
        "transactions_per_second": blocks / made.count * made.transactions / seconds,
        "megabytes_per_second": size / seconds / 1e6,
        "node_cpu_milliseconds_each": None,
    }


async def read_hashes(session: Session, made: Made) -> list[bytes]:
    hashes: list[bytes] = []
    while len(hashes) < min(made.count, 4 * MAX_BODIES):
        hashes += [h.hash() for h in await session.headers(len(hashes) + 1, MAX_BODIES)]
    return hashes


class Counter:
    """Takes blocks in without looking at them."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, blocks: Sequence[Block]) -> Imported:
        self.count += len(blocks)
        return Imported((Outcome.HEAD,) * len(blocks))


def open_service(home: Path) -> NodeService:
    loader = GraphLoader(DirectoryStorage(home / "models"))
    engine = ReferenceEngine(loader)
    return NodeService(CHAIN, home, loader, engine, bytes(20), verify_cycle, rpc_port=0)


def open_peers(node: Node, take: Import, home: Path, settings: PeerSettings) -> PeerService:
    return PeerService(settings, node, take, verify_cycle, home / "peer.pem")


def check(imported: Imported) -> None:
    if imported.failure is not None:
        raise imported.failure


if __name__ == "__main__":
    main(*sys.argv[1:])
