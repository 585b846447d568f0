"""Remote inference under load: requests per second and how long each took, on loopback.

The service is a process of its own (``farmctl node synapse --engine cpu``), as are the clients:
1, 32 and 256 nodes, each with one connection, who ask again as soon as they are answered. Every
answer is compared with the reference's. ``cached`` rows repeat one request; in ``computed`` ones
no two requests are equal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import psutil

from node.models.input_file import write_input
from node.models.storage.directory import DirectoryStorage
from node.spec.cvm import load, words
from node.spec.cvm import run as run_graph
from node.spec.cvm.writer import ModelWriter
from tests.support.ports import free_port

CLIENTS = (1, 32, 256)
SECONDS, QUICK_SECONDS = 8.0, 0.7
START_SECONDS = 60.0
SIDE, LONG_SIDE, POOLED, CLASSES = 32, 224, 8, 10
PIXELS, LONG_PIXELS = 3 * SIDE**2, 3 * LONG_SIDE**2
COUNTER = b"########"
CHECKED = 64
"""Different requests of a ``computed`` row whose answers are compared."""


@dataclass(frozen=True)
class Case:
    name: str
    body: bytes
    """Each ``COUNTER`` in it becomes a number of 8 hex digits."""
    answers: tuple[bytes, ...]
    """By number; beyond these an answer must be a result."""

    def ask(self, number: int) -> bytes:
        return self.body.replace(COUNTER, b"%08x" % number)

    def expect(self, number: int) -> bytes | None:
        number = number if COUNTER in self.body else 0
        return self.answers[number] if number < len(self.answers) else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help="of each row")


def run(quick: bool, seconds: float | None = None) -> dict[str, Any]:
    lasting = seconds or (QUICK_SECONDS if quick else SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        cases = _make_cases(Path(folder))
        with _serving(Path(folder)) as (service, port):
            rows = [_row(service, port, *each, lasting) for each in _order(cases)]
    return {"input_bytes": PIXELS, "long_input_bytes": LONG_PIXELS, "rows": rows}


def _order(cases: list[Case]) -> Iterator[tuple[Case, int]]:
    return ((case, clients) for case in cases for clients in CLIENTS)


def _row(
    service: psutil.Process, port: int, case: Case, clients: int, seconds: float
) -> dict[str, Any]:
    cpu_before = _cpu_seconds(service)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        lasted, took = pool.apply(_load, (port, case, clients, seconds))
    cuts = quantiles(took, n=100)
    return {
        "asked": case.name,
        "clients": clients,
        "requests_per_second": len(took) / lasted,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "service_cpu_ms_each": (_cpu_seconds(service) - cpu_before) / len(took) * 1000,
        "rss_mb": service.memory_info().rss / 1e6,
    }


def _make_cases(home: Path) -> list[Case]:
    storage = DirectoryStorage(home / "models")
    small, short = _keep(storage, SIDE)
    large, wide = _keep(storage, LONG_SIDE)
    random = np.random.default_rng(1)
    pixels = random.integers(-127, 128, (1, 3, SIDE, SIDE)).astype(np.int8)
    named = storage.put_input(write_input(pixels))
    answer = _reply(_expect(short, pixels.tobytes()))
    by_hash = {"type": 1, "model": small, "input": _hex(named), "cvm_networkid": 21}
    long = random.integers(-127, 128, (1, 3, LONG_SIDE, LONG_SIDE)).astype(np.int8).tobytes()
    price = {"type": 3, "model": small, "cvm_networkid": 21}
    long_answer = _reply(_expect(wide, long))
    numbered = pixels.tobytes()[:-4]
    body = _content(small, numbered)
    return [
        Case("price, cached", _body(price), (_price_reply(short),)),
        Case("by hash, cached", _body(by_hash), (answer,)),
        Case("3 kB, cached", _content(small, pixels.tobytes()), (answer,)),
        Case("150 kB, cached", _content(large, long), (long_answer,)),
        Case(
            "3 kB, computed",
            body.replace(b'","cvm', COUNTER + b'","cvm'),
            tuple(_reply(_expect(short, numbered + n.to_bytes(4, "big"))) for n in range(CHECKED)),
        ),
    ]


def _keep(storage: DirectoryStorage, side: int) -> tuple[str, tuple[bytes, bytes]]:
    """A picture of three colours, pooled, and a layer that scores classes."""
    writer = ModelWriter()
    picture = writer.add_input((1, 3, side, side), 8)
    pool = (side // POOLED, side // POOLED)
    pooled = writer.add("max_pool2d", "pool", [picture], pool_size=pool, strides=pool)
    flat = writer.add("flatten", "flat", [pooled])
    weights = np.random.default_rng(side).integers(-127, 128, (CLASSES, flat.size))
    parameter = writer.add_parameter("w", weights.astype(np.int32), 8)
    scores = writer.add("dense", "fc", [flat, parameter], units=CLASSES, use_bias=False)
    model = writer.finish([scores])
    return _hex(storage.put_model(*model)), model


def _hex(content: bytes) -> str:
    return "0x" + content.hex()


def _body(work: dict[str, Any]) -> bytes:
    return json.dumps(work, separators=(",", ":")).encode()


def _content(model: str, data: bytes) -> bytes:
    return _body({"type": 2, "model": model, "input": _hex(data), "cvm_networkid": 21})


def _expect(model: tuple[bytes, bytes], data: bytes) -> bytes:
    graph = load(*model)
    return words.to_contract_form(graph, run_graph(graph, words.to_kernel_form(graph, data)))


def _reply(result: bytes) -> bytes:
    return b'{"data":"0x%b","info":"ok"}' % result.hex().encode()


def _price_reply(model: tuple[bytes, bytes]) -> bytes:
    return _reply(load(*model).operations().to_bytes(8, "big"))


@contextmanager
def _serving(home: Path) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    command = [sys.executable, "-m", "farmctl", "node", "synapse", "--engine", "cpu"]
    environment = {
        **os.environ,
        "FARMCTL_HOME": str(home),
        "FARMCTL_BUS_PORT": str(free_port()),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], env=environment)
    try:
        _await(process, port)
        yield psutil.Process(process.pid), port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the service did not start")


def _load(port: int, case: Case, clients: int, seconds: float) -> tuple[float, list[float]]:
    return asyncio.run(_load_all(port, case, clients, seconds))


async def _load_all(
    port: int, case: Case, clients: int, seconds: float
) -> tuple[float, list[float]]:
    took: list[float] = []
    turns = iter(range(sys.maxsize))
    began = time.perf_counter()
    until = began + seconds
    asking = (_ask(port, case, turns, clients, until, took) for _ in range(clients))
    await asyncio.gather(*asking)
    return time.perf_counter() - began, took


async def _ask(
    port: int, case: Case, turns: Iterator[int], clients: int, until: float, took: list[float]
) -> None:
    """With no HTTP library, whose time would be measured too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # Rows of more clients ask what was not asked before.
    first = CLIENTS.index(clients) << 28
    while (began := time.perf_counter()) < until:
        number = first + next(turns)
        body = case.ask(number)
        writer.write(b"POST /infer HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(size)
        took.append(time.perf_counter() - began)
        _check(case, number, answer)
    writer.close()


def _check(case: Case, number: int, answer: bytes) -> None:
    known = case.expect(number)
    if b'"info":"ok"' not in answer or (known is not None and answer != known):
        raise RuntimeError(f"{case.name}: the service answered {answer[:200]!r}")


def _cpu_seconds(service: psutil.Process) -> float:
    """Of the service alone, without the worker that computes."""
    times = service.cpu_times()
    return times.user + times.system
