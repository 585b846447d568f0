"""Taking in a long chain: blocks and transactions a second, and whether the node still answers.

Each case runs in a process of its own, on a new home. ``straight``: one block after another in
the node's process, a durable commit each; ``memory``: the same with the home in memory, so that
no disk is waited for; ``worker``: in the import process, many blocks a commit; ``service``: so
too, in a whole node that is asked for eth_blockNumber all the while.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.blocks import Made, find_chain
from benchmarks.node import CHAIN
from farmctl.cycles import verify_cycle
from node.core import Node
from node.importing import Outcome
from node.inference import ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.service import NodeService
from node.spec.types import Block

COUNT, QUICK_COUNT = 10_000, 300
KINDS = ("empty", "transfers", "infer")
WAYS = ("straight", "memory", "worker", "service")
#: Blocks handed over at once, as a peer would.
CHUNK = 256
ASK_SECONDS = 0.01


def run(quick: bool) -> dict[str, Any]:
    count = QUICK_COUNT if quick else COUNT
    return {"rows": [measure(kind, way, count) for kind in KINDS for way in WAYS]}


def measure(kind: str, way: str, count: int) -> dict[str, Any]:
    made = find_chain(kind, count)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if way == "memory" else None) as home:
        made.copy_models(Path(home))
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sync", kind, way, str(count), home],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            waits = list(ask(int(process.stdout.readline()), process)) if way == "service" else []
            told = json.loads(process.stdout.read())
    seconds = told.pop("seconds")
    return {
        "blocks": kind,
        "way": way,
        "blocks_per_second": count / seconds,
        "transactions_per_second": made.transactions / seconds,
        "milliseconds_each": seconds / count * 1000,
        "cpu_milliseconds_each": told.pop("cpu_seconds") / count * 1000,
        **told,
        "rpc_p50_milliseconds": statistics.median(waits) * 1000 if waits else None,
        "rpc_p99_milliseconds": quantile(waits, 0.99) * 1000 if waits else None,
    }


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def ask(port: int, process: subprocess.Popen[str]) -> Iterator[float]:
    """Seconds that each question for the height takes, until the node has ended."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []})
    url, kind = f"http://127.0.0.1:{port}/", {"content-type": "application/json"}
    while process.poll() is None:
        began = time.perf_counter()
        request = urllib.request.Request(url, body.encode(), kind)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                reply.read()
        except OSError:
            return
        yield time.perf_counter() - began
        time.sleep(ASK_SECONDS)


def main(kind: str, way: str, count: str, home: str) -> None:
    """One case; its figures on standard output."""
    made = find_chain(kind, int(count))
    loader = GraphLoader(DirectoryStorage(Path(home) / "models"))
    engine = ReferenceEngine(loader)
    if way == "service":
        seconds = asyncio.run(serve(made, Path(home), loader, engine))
    else:
        apart = way == "worker"
        node = Node(CHAIN, Path(home), loader, engine, bytes(20), verify_cycle, apart=apart)
        seconds = take_chunks(node, made) if apart else take_single(node, made)
        node.close()
    mine, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    figures = {
        "seconds": seconds,
        "cpu_seconds": sum(u.ru_utime + u.ru_stime for u in (mine, others)),
        "node_megabytes": mine.ru_maxrss / 1000,
        "worker_megabytes": others.ru_maxrss / 1000,
    }
    print(json.dumps(figures))


def take_single(node: Node, made: Made) -> float:
    began = time.perf_counter()
    for raw in made.read():
        if node.import_block(Block.decode(raw)) is not Outcome.HEAD:
            raise RuntimeError("a block did not become the head")
    return finish(node, made, began)


def take_chunks(node: Node, made: Made) -> float:
    node.importer.retry()  # until the process is there
    began = time.perf_counter()
    for chunk in chunks(made):
        check(node.import_blocks(chunk).failure)
    return finish(node, made, began)


async def serve(made: Made, home: Path, loader: GraphLoader, engine: ReferenceEngine) -> float:
    service = NodeService(CHAIN, home, loader, engine, bytes(20), verify_cycle, rpc_port=0)
    await service.start()
    service.node.importer.retry()
    print(service.rpc_port, flush=True)
    began = time.perf_counter()
    coming = chunks(made)
    while chunk := await asyncio.to_thread(next, coming, None):
        check((await service.import_blocks(chunk)).failure)
    seconds = finish(service.node, made, began)
    await service.stop()
    return seconds


def chunks(made: Made) -> Iterator[list[Block]]:
    blocks = made.read()
    while chunk := [Block.decode(raw) for raw in itertools.islice(blocks, CHUNK)]:
        yield chunk


def check(failure: Exception | None) -> None:
    if failure is not None:
        raise failure


def finish(node: Node, made: Made, began: float) -> float:
    seconds = time.perf_counter() - began
    if node.head().number != made.count:
        raise RuntimeError(f"the node stands at block {node.head().number}")
    return seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
