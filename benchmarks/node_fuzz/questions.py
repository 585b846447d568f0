"""Questions to the node's JSON-RPC, more or less: some reach deep, some are hardly JSON."""

from __future__ import annotations

import inspect
import json
import random
from typing import Any

from benchmarks.rpc_target import OWNER, TOKEN, TRANSFERRED, Target, balance_call
from benchmarks.stratum_fuzz import damage
from node.rpc.registry import find_methods

SOCKET_METHODS = ("eth_subscribe", "eth_unsubscribe", "ctxc_subscribe")
TOPICS = ("newHeads", "logs", "newPendingTransactions", "syncing", "gossip")
TAGS = ("latest", "pending", "earliest", "safe", "finalized", "0x0", "0x1", "0x3", "0xffff")
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 2**53, 2**64, 10**300, 1.5, 1e308, "", "0x", "0", "x"),
    *("0x" + "ff" * 32, "0x1" + "0" * 63, "0x" + "f" * 65, "-0x1", "0x-1", "0x1.8", "1e3"),
    *("\x00", "é" * 50, "🦆", "0x" + "zz" * 20, "0X1", " 0x1", "0x" + "00" * 5000),
    *([], [[]], [None] * 5, {}, {"a": {}}, {"blockHash": "0x" + "00" * 32}),
    *({"blockNumber": "0x1"}, {"blockNumber": None}, {"blockNumber": 2**70}, "0x" + "9" * 80),
)


class Questions:
    def __init__(self, target: Target, chance: random.Random) -> None:
        self._chance = chance
        self._parameters = {
            name: [*inspect.signature(method.function).parameters][1:]
            for name, method in sorted(find_methods().items())
        }
        self._methods = list(self._parameters)
        self._blocks = ["0x" + b.hash().hex() for b in target.blocks]
        sent = [t for b in target.blocks for t in b.transactions]
        self._transactions = ["0x" + t.hash().hex() for t in sent[:20]]
        self._raw = ["0x" + t.encode().hex() for t in sent[:5]]
        self.idents: list[Any] = ["0x1"]
        """Of filters and subscriptions that the node has named."""

    def body(self, methods: tuple[str, ...] = ()) -> bytes:
        """A request or a batch, damaged now and then; ``methods`` are asked beside the others."""
        chance = self._chance
        count = 0 if chance.random() < 0.9 else chance.choice((0, 1, 3, 99, 100, 101))
        asked = [self.request(methods) for _ in range(max(1, count))]
        text = json.dumps(asked if count else asked[0]).encode()
        return damage(chance, text) if chance.random() < 0.25 else text

    def request(self, methods: tuple[str, ...]) -> Any:
        chance = self._chance
        method = chance.choice([*self._methods, *methods * 10])
        request: dict[str, Any] = {
            "jsonrpc": "2.0",
            "id": chance.choice((1, 2, "a", None)),
            "method": method,
            "params": self.params(method),
        }
        if chance.random() < 0.1:
            key = chance.choice((*request, "", "more"))
            request[key] = chance.choice((*ODD, *TOPICS))
        if chance.random() < 0.05:
            del request[chance.choice(list(request))]
        return chance.choice(ODD) if chance.random() < 0.01 else request

    def params(self, method: str) -> list[Any]:
        """Mostly of the kinds that the method takes, by the names that its function gives them."""
        chance = self._chance
        names = self._parameters.get(method, [])
        if not names or chance.random() < 0.2:
            return [self.value("") for _ in range(chance.choice((0, 1, 2, 3, 4, 9)))]
        return [self.value(name if chance.random() < 0.9 else "") for name in names]

    def value(self, name: str) -> Any:
        """Of a parameter with this name; of one with any other, anything."""
        chance = self._chance
        hashes = (*self._blocks, *self._transactions)
        known: dict[str, tuple[Any, ...]] = {
            "address": ("0x" + chance.choice((OWNER, TOKEN, bytes(20), b"\1" * 20)).hex(),),
            "where": (*TAGS, *self._blocks),
            "newest": TAGS,
            "block_hash": (*self._blocks, hashes[-1]),
            "transaction_hash": (*self._transactions, hashes[0]),
            "raw": (*self._raw, "0x" + chance.randbytes(80).hex()),
            "ident": tuple(self.idents),
            "index": ("0x0", "0x1", "0x99", hex(2**64)),
            "slot": ("0x0", hex(chance.getrandbits(256))),
            "count": ("0x1", 4, "0x9999"),
            "percentiles": ([], [1, 50, 99.5], [50, 1], [101]),
            "full": (True, False),
            "request": (self.call(),),
            "query": (self.query(),),
            "nonce": ("0x" + chance.randbytes(8).hex(),),
            "seal_hash": ("0x" + chance.randbytes(32).hex(),),
            "solution": ("0x" + chance.randbytes(168).hex(),),
            "topic": TOPICS,
        }
        anything = (*ODD, *known["address"], *TAGS, *hashes, self.call(), self.query())
        return chance.choice(known.get(name, anything))

    def call(self) -> Any:
        """Of a contract, of random code, or of code that does not end."""
        chance = self._chance
        wanted: dict[str, Any] = dict(balance_call(OWNER))
        if chance.random() < 0.4:
            code = chance.choice(("0x5b600056", "0x" + chance.randbytes(60).hex(), "0x60016000fd"))
            wanted = {"data": code}
        if chance.random() < 0.5:
            key = chance.choice(("from", "to", "gas", "gasPrice", "value", "data", "input"))
            wanted[key] = chance.choice((*ODD, hex(chance.getrandbits(40)), "0x" + OWNER.hex()))
        return wanted

    def query(self) -> Any:
        chance = self._chance
        wanted: dict[str, Any] = {
            "fromBlock": chance.choice(TAGS),
            "toBlock": chance.choice(TAGS),
            "address": chance.choice(("0x" + TOKEN.hex(), ["0x" + TOKEN.hex()] * 3, [], None)),
            "topics": chance.choice(([], [None], ["0x" + TRANSFERRED.hex()], [[None], [[]]])),
        }
        if chance.random() < 0.4:
            wanted[chance.choice((*wanted, "blockHash"))] = chance.choice((*ODD, *self._blocks))
        return wanted
