"""The JSON-RPC under load: requests per second and how long each took, with 1, 10 and 100 clients.

Each client has one connection and asks again as soon as it is answered; the clients have a process
of their own. ``websocket`` rows ask the same over WebSockets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from typing import Any

from websockets.asyncio.client import connect

from benchmarks.rpc_target import TOKEN, TRANSFERRED, balance_call, serve_chain
from node.rpc.settings import RpcSettings

CLIENTS = (1, 10, 100)
SECONDS, QUICK_SECONDS = 10.0, 1.0
BLOCKS, TRANSFERS = 50, 20
SETTINGS = replace(RpcSettings(), requests_per_second=0)
LOGS = {
    "fromBlock": "0x1",
    "toBlock": hex(BLOCKS + 1),
    "address": "0x" + TOKEN.hex(),
    "topics": ["0x" + TRANSFERRED.hex(), None, "0x" + (7).to_bytes(32, "big").hex()],
}
QUESTIONS: dict[str, list[Any]] = {
    "eth_blockNumber": [],
    "eth_call": [balance_call((7).to_bytes(20, "big")), "latest"],
    "eth_getLogs": [LOGS],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help="of each row")


def run(quick: bool, seconds: float | None = None) -> dict[str, Any]:
    lasting = seconds or (QUICK_SECONDS if quick else SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure_all(Path(folder), lasting))
    return {"blocks": BLOCKS, "transfers_each": TRANSFERS, "rows": rows}


async def _measure_all(home: Path, seconds: float) -> list[dict[str, Any]]:
    rows = []
    async with serve_chain(home, BLOCKS, TRANSFERS, SETTINGS) as target:
        for method, params in QUESTIONS.items():
            body = json.dumps({"id": 1, "method": method, "params": params}).encode()
            for transport in TRANSPORTS:
                for clients in CLIENTS:
                    case = (transport, target.address, body, clients, seconds)
                    took = await asyncio.to_thread(_in_process, case)
                    rows.append({"method": method, "over": transport, **_summary(clients, took)})
    return rows


def _in_process(case: tuple[Any, ...]) -> tuple[float, list[float]]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_load, case)


def _load(
    transport: str, address: str, body: bytes, clients: int, seconds: float
) -> tuple[float, list[float]]:
    return asyncio.run(_load_all(transport, address, body, clients, seconds))


async def _load_all(
    transport: str, address: str, body: bytes, clients: int, seconds: float
) -> tuple[float, list[float]]:
    took: list[float] = []
    loop = TRANSPORTS[transport]
    began = time.perf_counter()
    await asyncio.gather(*(loop(address, body, began + seconds, took) for _ in range(clients)))
    return time.perf_counter() - began, took


async def _ask_http(address: str, body: bytes, until: float, took: list[float]) -> None:
    """With no HTTP library, whose time would be measured too."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    while (began := time.perf_counter()) < until:
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        size = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        _check(await reader.readexactly(size))
        took.append(time.perf_counter() - began)
    writer.close()


async def _ask_socket(address: str, body: bytes, until: float, took: list[float]) -> None:
    text = body.decode()
    async with connect(f"ws://{address}", compression=None) as socket:
        while (began := time.perf_counter()) < until:
            await socket.send(text)
            _check(await socket.recv(decode=False))
            took.append(time.perf_counter() - began)


def _check(answer: bytes) -> None:
    if b'"result"' not in answer:
        raise RuntimeError(f"the node answered {answer[:200]!r}")


def _summary(clients: int, measured: tuple[float, list[float]]) -> dict[str, Any]:
    seconds, took = measured
    cuts = quantiles(took, n=100)
    return {
        "clients": clients,
        "requests_per_second": len(took) / seconds,
        "p50_milliseconds": cuts[49] * 1e3,
        "p99_milliseconds": cuts[98] * 1e3,
        "slowest_milliseconds": max(took) * 1e3,
    }


TRANSPORTS = {"http": _ask_http, "websocket": _ask_socket}
