"""A light node that follows a long chain: headers a second, its memory and its disk.

``checked``: headers from memory, each verified in full and kept; ``followed``: those of a full
node over JSON-RPC on loopback, each of the two in a process of its own. Graphs are of 2^10 edges;
verifying a proof of 30 edge bits takes about as long, as its cost is that of the 42 edges. Grown is
the light process's memory since it had its modules and the headers to check.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.blocks import Made, find_chain
from benchmarks.node import BLOCK_SECONDS, CHAIN, Clock, open_node, solve
from farmctl.cycles import verify_cycle
from node.inference import ReferenceEngine
from node.light.node import LightNode
from node.light.settings import LightSettings
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.rpc.server import RpcServer
from node.rpc.settings import RpcSettings
from node.spec.difficulty import next_difficulty
from node.spec.gas import next_gas_limit
from node.spec.genesis import genesis_block
from node.spec.trie import MemoryStore
from node.spec.types import Block, Header

HEADERS, QUICK_HEADERS = 10_000, 300
KIND, COUNT, QUICK_COUNT = "infer", 2000, 300
"""Of the full node's chain."""
BATCH = 512


def run(quick: bool) -> dict[str, Any]:
    made = find_chain(KIND, QUICK_COUNT if quick else COUNT)
    rows = [start("checked", QUICK_HEADERS if quick else HEADERS)]
    with tempfile.TemporaryDirectory() as folder:
        server = Served(made, Path(folder) / "full")
        try:
            rows.append(start("followed", made.count, server.url))
        finally:
            server.close()
    return {"edge_bits": CHAIN.edge_bits, "rows": rows}


class Served:
    """A full node with the chain, behind its JSON-RPC."""

    def __init__(self, made: Made, home: Path) -> None:
        made.copy_models(home)
        self._node = open_node(home, Clock(time.time()))
        self._node.rpc = RpcSettings(requests_per_second=0)
        for raw in made.read():
            self._node.import_block(Block.decode(raw))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = RpcServer(self._node, "127.0.0.1", 0)
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(60)
        self.url = f"http://127.0.0.1:{self._server.port}"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._node.close()


def start(way: str, count: int, url: str = "http://127.0.0.1:9") -> dict[str, Any]:
    """One way, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.light", way, str(count), url]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(told)
    return found


def measure(way: str, count: int, url: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        loader = GraphLoader(DirectoryStorage(Path(home) / "models"))
        headers = make_headers(count) if way == "checked" else []
        before = resident_bytes()
        light = LightNode(
            *(CHAIN, Path(home), LightSettings(), [url], loader),
            *(ReferenceEngine(loader), verify_cycle),
        )
        began, spent = time.perf_counter(), time.process_time()
        if way == "checked":
            for first in range(0, count, BATCH):
                light.headers.add(headers[first : first + BATCH])
        else:
            while light.follower.follow():
                pass
        seconds, busy = time.perf_counter() - began, time.process_time() - spent
        if light.head().number != count:
            raise RuntimeError(f"{way}: {light.head().number} of {count} headers were followed")
        grown = resident_bytes() - before
        light.close()
        kept = sum(file.stat().st_size for file in (Path(home) / "light").iterdir())
    return {
        "way": way,
        "headers": count,
        "headers_per_second": count / seconds,
        "headers_per_cpu_second": count / busy,
        "grown_megabytes": grown / 1e6,
        "resident_megabytes": (before + grown) / 1e6,
        "disk_megabytes": kept / 1e6,
        "disk_bytes_per_header": kept / count,
    }


def make_headers(count: int) -> list[Header]:
    """A chain of headers without transactions."""
    parent = genesis_block(CHAIN, MemoryStore()).header
    found: list[Header] = []
    start = int(time.time()) - BLOCK_SECONDS * count - 60
    for number in range(1, count + 1):
        timestamp = start + BLOCK_SECONDS * number
        blank = replace(
            parent,
            parent_hash=parent.hash(),
            number=number,
            timestamp=timestamp,
            difficulty=next_difficulty(CHAIN, timestamp, parent),
            gas_limit=next_gas_limit(CHAIN, parent.gas_limit, parent.gas_used),
            quota=parent.quota + CHAIN.quota_per_block,
        )
        nonce, edges = solve(Block(blank))
        parent = replace(blank, nonce=nonce.to_bytes(8, "big"), solution=edges)
        found.append(parent)
    return found


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
