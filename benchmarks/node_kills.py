"""The node under kill -9: at random moments, while it imports a long chain and miners find blocks.

Each life of the node takes in blocks, transactions and shares; the import process may be killed
several times on the way, and in the end the node or both at once are. Then the store is read
whole, and everything that was ever said yes to must be there: blocks, transactions, shares (each
once). ``--kills`` says how often; ``--quick``: six.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.blocks import find_chain
from benchmarks.kill_checks import check_home
from benchmarks.kill_miners import Caller, Promises, mine_at_pool, mine_by_rpc

KILLS, QUICK_KILLS = 200, 6
#: The chain that comes in, and how much of it a home takes before another is begun.
KIND, COUNT, QUICK_COUNT = "infer", 2000, 300
START_SECONDS = 120.0
#: A life lasts so long between two blows at most.
LIFE_SECONDS = 1.5
#: Blows at the import process before the last one.
MOST_BLOWS = 3
#: Part of the lives that are left alone until they have taken a block; the others may be struck
#: while they start.
BUSY = 0.9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, help="how often (200)")
    parser.add_argument("--seed", type=int, default=None, help="of the moments")


def run(quick: bool, kills: int | None = None, seed: int | None = None) -> dict[str, Any]:
    wanted = kills or (QUICK_KILLS if quick else KILLS)
    seed = random.getrandbits(32) if seed is None else seed
    count = QUICK_COUNT if quick else COUNT
    find_chain(KIND, count)
    return {"seed": seed, "rows": [Trial(random.Random(seed), wanted, count).run()]}


class Trial:
    """Counts what it saw; raises `RuntimeError` at the first thing lost or broken."""

    def __init__(self, moments: random.Random, wanted: int, count: int) -> None:
        self._moments, self._wanted, self._count = moments, wanted, count
        self._kills: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()

    def run(self) -> dict[str, Any]:
        began = time.monotonic()
        while self._kills.total() < self._wanted:
            with tempfile.TemporaryDirectory() as folder:
                self._use_up(Path(folder))
        return {
            "kills": self._kills.total(),
            **{f"of_{name}": self._kills[name] for name in ("node", "worker", "both")},
            **{name: self._totals[name] for name in sorted(self._totals)},
            "corruptions": 0,
            "lost": 0,
            "minutes": (time.monotonic() - began) / 60,
        }

    def _use_up(self, home: Path) -> None:
        """Lives on one home, until the whole chain is in."""
        promises = Promises()
        find_chain(KIND, self._count).copy_models(home)
        while self._kills.total() < self._wanted and len(promises.hashes) < self._count:
            self._live(home, promises)
            self._totals["height"] = max(self._totals["height"], check_home(home, promises))
            print(f"{self._kills.total()} kills, {dict(self._kills)}", flush=True)
        self._totals["blocks_of_miners"] += len(promises.sealed)
        self._totals["blocks_imported"] += len(promises.hashes)
        self._totals["transactions"] += len(promises.sent)
        self._totals["work_of_shares"] += promises.work

    def _live(self, home: Path, promises: Promises) -> None:
        with running(home, self._count, promises) as process:
            if self._moments.random() < BUSY:
                wait_for_promise(process, promises)
            for _ in range(self._moments.randrange(MOST_BLOWS + 1)):
                time.sleep(self._moments.uniform(0, LIFE_SECONDS))
                self._strike_worker(process)
            time.sleep(self._moments.uniform(0, LIFE_SECONDS))
            if self._moments.random() < 0.5:
                self._kills["both"] += 1
                os.killpg(process.pid, signal.SIGKILL)
            else:
                self._kills["node"] += 1
                process.kill()
            process.wait()

    def _strike_worker(self, process: subprocess.Popen[str]) -> None:
        for worker in find_workers(process.pid):
            self._kills["worker"] += 1
            os.kill(worker, signal.SIGKILL)


@contextmanager
def running(home: Path, count: int, promises: Promises) -> Iterator[subprocess.Popen[str]]:
    """A life of the node with its miners, from when it takes its first work; the caller ends
    it."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.kill_target", str(home), KIND, str(count), str(port)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the node did not start")
        threads = list(begin(process, Caller(int(line)), port, promises))
        try:
            yield process
        finally:
            process.kill()
            for thread in threads:
                thread.join()


def begin(
    process: subprocess.Popen[str], caller: Caller, port: int, promises: Promises
) -> Iterator[threading.Thread]:
    """The miners' threads, and the one that hears of imported blocks."""
    stop = threading.Event()
    for target, arguments in (
        (hear, (process, promises)),
        (mine_by_rpc, (caller, promises, stop)),
        (mine_at_pool, (port, promises, stop)),
    ):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        yield thread


def hear(process: subprocess.Popen[str], promises: Promises) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):
            promises.hashes.add(bytes.fromhex(line))


def wait_for_promise(process: subprocess.Popen[str], promises: Promises) -> None:
    """Until a block of the coming chain is in. Raises `RuntimeError` where none comes."""
    before, deadline = len(promises.hashes), time.monotonic() + START_SECONDS
    while len(promises.hashes) == before:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the node takes no block after its start")
        time.sleep(0.005)


def find_workers(owner: int) -> list[int]:
    """Import processes of a node."""
    children = Path(f"/proc/{owner}/task/{owner}/children")
    tasks = Path(f"/proc/{owner}/task")
    found: list[int] = []
    for task in tasks.iterdir() if tasks.exists() else []:
        children = task / "children"
        found += map(int, children.read_text().split()) if children.exists() else []
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
