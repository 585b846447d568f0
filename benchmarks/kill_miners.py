"""Miners of `benchmarks.node_kills`, who keep account of what they were promised."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.node import CHAIN, EDGE_BITS, OTHER_KEY
from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch
from node.spec.crypto import private_address
from node.spec.cuckoo import solution_bytes, solution_hash
from node.spec.types import Transaction

MINER = "0x" + "a1" * 20
SENDER = "0x" + private_address(OTHER_KEY).hex()
#: A share this good is a block: the network's difficulty stays far below.
SURELY_BLOCK = 2**256 // 64
GRAPHS = 64
RPC_SECONDS = 20.0


@dataclass
class Promises:
    """What the node has said yes to, over all its lives."""

    hashes: set[bytes] = field(default_factory=set)
    """Of blocks that it took from the coming chain."""
    sealed: set[tuple[bytes, int]] = field(default_factory=set)
    """Seal hash and nonce of blocks that it took from miners."""
    sent: dict[bytes, Transaction] = field(default_factory=dict)
    work: int = 0
    """Of accepted shares."""
    unanswered: int = 0
    """Of shares that were sent and neither accepted nor refused."""


class Caller:
    """JSON-RPC to the node. Raises OSError where it is gone."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/"

    def ask(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        request = urllib.request.Request(
            self._url, body.encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=RPC_SECONDS) as reply:
            return json.loads(reply.read()).get("result")


def mine_by_rpc(caller: Caller, promises: Promises, stop: threading.Event) -> None:
    """Send a transaction and search the newest work, until the node is gone."""
    search, graphs = CuckooSearch(1, 1 << 26), itertools.count(0, GRAPHS)
    try:
        while not stop.is_set():
            send_transaction(caller, promises)
            work = caller.ask("eth_getWork")
            if not work:
                continue
            job = CuckooJob(bytes.fromhex(work[0][2:]), EDGE_BITS)
            for cycle in search.search(job, next(graphs), GRAPHS, lambda: False)[1]:
                solution = "0x" + solution_bytes(cycle.edges).hex()
                if caller.ask("eth_submitWork", f"0x{cycle.nonce:016x}", work[0], solution):
                    promises.sealed.add((job.header, cycle.nonce))
    except (OSError, ValueError):
        return


def send_transaction(caller: Caller, promises: Promises) -> None:
    nonce = len(promises.sent)
    blank = Transaction(nonce, 1, 21_000, b"\7" * 20, 1, b"")
    signed = blank.sign(OTHER_KEY, CHAIN.chain_id)
    taken = caller.ask("eth_sendRawTransaction", "0x" + signed.encode().hex())
    if not taken:  # or it was, and the node died before it said so
        count = caller.ask("eth_getTransactionCount", SENDER, "pending")
        taken = count and int(count, 16) > nonce
    if taken:
        promises.sent[signed.hash()] = signed


def mine_at_pool(port: int, promises: Promises, stop: threading.Event) -> None:
    """Send shares until the node is gone."""
    search = CuckooSearch(1, 1 << 26)
    try:
        with socket.create_connection(("127.0.0.1", port), RPC_SECONDS) as wire:
            talk = Talk(wire)
            talk.ask("ctxc_submitLogin", [MINER])
            for first in itertools.count(0, GRAPHS):
                if stop.is_set():
                    return
                work = talk.ask("ctxc_getWork", [""])
                if not work:
                    continue
                seal_hash, _, target, _ = work
                job = CuckooJob(bytes.fromhex(seal_hash[2:]), EDGE_BITS)
                for cycle in search.search(job, first, GRAPHS, lambda: False)[1]:
                    if int.from_bytes(solution_hash(cycle.edges), "big") <= int(target, 16):
                        submit_share(talk, promises, job, cycle.nonce, cycle.edges, target)
    except (OSError, ValueError):
        return


class Talk:
    """Lines to a pool and back."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire, self._lines = wire, self._read(wire)

    def ask(self, method: str, params: list[Any]) -> Any:
        """The result, None for an error. Raises OSError where the pool is gone."""
        line = json.dumps({"id": 7, "jsonrpc": "2.0", "method": method, "params": params})
        self._wire.sendall(line.encode() + b"\n")
        for said in self._lines:
            if said["id"] == 7:
                return said.get("result")
        raise ConnectionResetError("the pool hung up")

    @staticmethod
    def _read(wire: socket.socket) -> Iterator[dict[str, Any]]:
        with wire.makefile("rb") as file:
            for line in file:
                yield json.loads(line)


def submit_share(
    talk: Talk,
    promises: Promises,
    job: CuckooJob,
    nonce: int,
    edges: tuple[int, ...],
    target: str,
) -> None:
    difficulty = 2**256 // int(target, 16)
    promises.unanswered += difficulty
    params = [f"0x{nonce:016x}", "0x" + job.header.hex(), "0x" + solution_bytes(edges).hex()]
    accepted = talk.ask("ctxc_submitWork", params)
    promises.unanswered -= difficulty
    if accepted:
        promises.work += difficulty
        if int.from_bytes(solution_hash(edges), "big") <= SURELY_BLOCK:
            promises.sealed.add((job.header, nonce))
