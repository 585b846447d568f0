"""A light node that follows a long chain: headers a second, its memory and its disk.

``checked``: headers from memory, each verified in full and kept; ``followed``: the same from a
full node over JSON-RPC on loopback, each of the two in a process of its own. Graphs are of 2^10
edges: on a network of 30 edge bits verifying a proof takes about as long, its cost is that of the
42 edges. Memory is what the light process has grown by since it had imported its modules.
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
from pathlib import Path
from typing import Any

from benchmarks.blocks import Made, find_chain
from benchmarks.node import CHAIN, Clock, open_node
from farmctl.cycles import verify_cycle
from node.inference import ReferenceEngine
from node.light.node import LightNode
from node.light.settings import LightSettings
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.rpc.server import RpcServer
from node.rpc.settings import RpcSettings
from node.spec.types import Block, Header

KIND, COUNT, QUICK_COUNT = "empty", 10_000, 300
BATCH = 512


def run(quick: bool) -> dict[str, Any]:
    made = find_chain(KIND, QUICK_COUNT if quick else COUNT)
    with tempfile.TemporaryDirectory() as folder:
        server = Served(made, Path(folder) / "full")
        try:
            rows = [start(way, made.count, server.url) for way in ("checked", "followed")]
        finally:
            server.close()
    return {"edge_bits": CHAIN.edge_bits, "rows": rows}


class Served:
    """A full node with the chain, behind its JSON-RPC."""

    def __init__(self, made: Made, home: Path) -> None:
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


def start(way: str, count: int, url: str) -> dict[str, Any]:
    """One way, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.light", way, str(count), url]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(told)
    return found


def measure(way: str, count: int, url: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        loader = GraphLoader(DirectoryStorage(Path(home) / "models"))
        headers = read_headers(count) if way == "checked" else []
        before = resident_bytes()
        light = LightNode(
            *(CHAIN, Path(home), LightSettings(), [url], loader),
            *(ReferenceEngine(loader), verify_cycle),
        )
        began, spent = time.perf_counter(), time.process_time()
        if way == "checked":
            for first in range(0, count, BATCH):
                light.headers.add(headers[first : first + BATCH])
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
        "resident_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "disk_megabytes": kept / 1e6,
        "disk_bytes_per_header": kept / count,
    }


def read_headers(count: int) -> list[Header]:
    made = find_chain(KIND, count)
    return [Block.decode(raw).header for raw in made.read()]


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
