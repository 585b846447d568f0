"""The chain on disk: blocks, receipts, indices and state nodes in one LMDB environment.

A block and everything that follows from it (its state nodes, receipts, the canonical index,
the head) go in by **one** write transaction, so a process killed at any instruction leaves
either the old head or the new one. LMDB's default durability is used: the data pages are on
disk before a commit returns; only the last commit may be undone by a loss of power
(``metasync=False``), never torn.

This is the only file that imports lmdb.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from node.errors import StoreError, StoreFull, WrongChain
from node.spec import rlp
from node.spec.types import Block, Header, Receipt, Transaction

TABLES = (
    "meta",
    "headers",
    "bodies",
    "receipts",
    "difficulties",
    "calls",
    "call_totals",
    "canonical",
    "locations",
    "metas",
    "pending",
    "nodes",
    *("shares", "candidates", "finds", "balances", "payments"),  # of `node.stratum`
)
EMPTY_LIST = b"\xc0"
MAP_BYTES = 256 * 1024 * 1024
MAP_LIMIT_BYTES = 1 << 42

T = TypeVar("T")


@dataclass(frozen=True)
class Location:
    """Where a transaction stands on the canonical chain."""

    block_hash: bytes
    index: int


@dataclass(frozen=True)
class Executed:
    """A block with all that its execution gave."""

    block: Block
    receipts: tuple[Receipt, ...]
    total_difficulty: int
    nodes: Mapping[bytes, bytes] = field(default_factory=dict)
    """New state nodes and code by their keccak."""
    calls: Mapping[bytes, int] = field(default_factory=dict)
    """INFER calls by the model's infohash."""
    metas: tuple[bytes, ...] = ()
    """Addresses of model and input accounts created here."""


class Records:
    """The tables within one write transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Mapping[str, Any]) -> None:
        self._txn, self._tables = txn, tables

    def get(self, table: str, key: bytes) -> bytes | None:
        found = self._txn.get(key, db=self._tables[table])
        return None if found is None else bytes(found)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._tables[table])

    def keys(self, table: str) -> list[bytes]:
        """Ascending."""
        cursor = self._txn.cursor(db=self._tables[table])
        return [bytes(key) for key in cursor.iternext(values=False)]

    def drop(self, table: str, key: bytes) -> None:
        self._txn.delete(key, db=self._tables[table])


class ChainStore:
    """All methods are safe to call from several threads."""

    def __init__(
        self, path: Path, map_bytes: int = MAP_BYTES, map_limit_bytes: int = MAP_LIMIT_BYTES
    ) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._limit = map_limit_bytes
        self._gate = threading.Lock()  # readers stand aside while the map grows
        try:
            self._env = lmdb.open(
                str(path), map_size=map_bytes, max_dbs=len(TABLES), metasync=False, mode=0o600
            )
            self._tables = {name: self._env.open_db(name.encode()) for name in TABLES}
        except lmdb.Error as error:
            raise StoreError(f"cannot open the chain's database in {path}: {error}") from error

    def close(self) -> None:
        """After a reading that is going on; no writing may be."""
        with self._gate:
            self._env.close()

    def get(self, key: bytes) -> bytes | None:
        """A state node or code, by its keccak (the `NodeStore` protocol)."""
        return self._read("nodes", key)

    def put(self, key: bytes, value: bytes) -> None:
        self._write(lambda txn: self._set(txn, "nodes", key, value))

    def head(self) -> bytes | None:
        return self._read("meta", b"head")

    def head_header(self) -> Header:
        """Raises `StoreError` before `begin`."""
        head = self.head()
        header = self.header(head) if head else None
        if header is None:
            raise StoreError("the chain's database is empty")
        return header

    def header(self, block_hash: bytes) -> Header | None:
        raw = self._read("headers", block_hash)
        return None if raw is None else _decode_header(raw)

    def block(self, block_hash: bytes) -> Block | None:
        with self._gate, self._env.begin() as txn:
            header = self._lookup(txn, "headers", block_hash)
            body = self._lookup(txn, "bodies", block_hash)
        if header is None or body is None:
            return None
        return _join(header, body)

    def receipts(self, block_hash: bytes) -> tuple[Receipt, ...]:
        raw = self._read("receipts", block_hash)
        return () if raw is None else tuple(Receipt.decode(r) for r in _strings(raw))

    def total_difficulty(self, block_hash: bytes) -> int | None:
        raw = self._read("difficulties", block_hash)
        return None if raw is None else int.from_bytes(raw, "big")

    def calls(self, block_hash: bytes) -> dict[bytes, int]:
        """INFER calls of a block, by infohash."""
        return _calls(self._read("calls", block_hash))

    def count_calls(self, infohash: bytes) -> int:
        """INFER calls of a model on the canonical chain."""
        return int.from_bytes(self._read("call_totals", infohash) or b"", "big")

    def canonical_hash(self, number: int) -> bytes | None:
        return self._read("canonical", _number(number))

    def location(self, transaction_hash: bytes) -> Location | None:
        raw = self._read("locations", transaction_hash)
        return None if raw is None else Location(raw[:32], int.from_bytes(raw[32:], "big"))

    def meta_addresses(self) -> list[bytes]:
        """Every address that a model or input account was ever created at, on any branch."""
        return [key for key, _ in self._scan("metas")]

    def pending(self) -> list[Transaction]:
        """Transactions that waited when the process ended."""
        return [Transaction.decode(raw) for _, raw in self._scan("pending")]

    def keep_pending(self, transaction: Transaction) -> None:
        self._write(lambda txn: self._set(txn, "pending", transaction.hash(), transaction.encode()))

    def record(self, table: str, key: bytes) -> bytes | None:
        return self._read(table, key)

    def records(self, table: str) -> list[tuple[bytes, bytes]]:
        """Key and value of each, ascending by key."""
        return list(self._scan(table))

    def change(self, work: Callable[[Records], T]) -> T:
        """Do ``work`` in one write transaction: all of it is kept, or nothing."""
        return self._write(lambda txn: work(Records(txn, self._tables)))

    def drop_pending(self, hashes: Sequence[bytes]) -> None:
        def drop(txn: lmdb.Transaction) -> None:
            for key in hashes:
                txn.delete(key, db=self._tables["pending"])

        self._write(drop)

    def begin(self, chain_name: str, genesis: Executed) -> None:
        """Write the genesis block, or check that the database is this chain's."""
        known = self.canonical_hash(0)
        if known is None:
            self._write(lambda txn: self._set(txn, "meta", b"chain", chain_name.encode()))
            self.add(genesis, adopt=[genesis.block])
        elif known != genesis.block.header.hash():
            name = (self._read("meta", b"chain") or b"?").decode()
            raise WrongChain(f"the database holds chain {name}, not {chain_name}; use another home")

    def add(
        self, executed: Executed, adopt: Sequence[Block] = (), abandon: Sequence[Block] = ()
    ) -> None:
        """Write a block. If it is the new head, ``adopt`` holds the blocks that become
        canonical (ascending, this one last) and ``abandon`` those that no longer are."""

        def write(txn: lmdb.Transaction) -> None:
            self._add_block(txn, executed)
            for block in abandon:
                self._unlink(txn, block)
            for block in adopt:
                self._link(txn, block)
            if adopt:
                self._set(txn, "meta", b"head", adopt[-1].header.hash())

        self._write(write)

    def _add_block(self, txn: lmdb.Transaction, executed: Executed) -> None:
        header = executed.block.header
        key = header.hash()
        for node_key, node in executed.nodes.items():
            self._set(txn, "nodes", node_key, node)
        for address in executed.metas:
            self._set(txn, "metas", address, key)
        calls = [part for m, n in executed.calls.items() for part in (m, n.to_bytes(4, "big"))]
        self._set(txn, "headers", key, header.encode())
        self._set(txn, "bodies", key, _body(executed.block))
        self._set(txn, "receipts", key, rlp.encode([r.encode() for r in executed.receipts]))
        self._set(txn, "difficulties", key, executed.total_difficulty.to_bytes(32, "big"))
        self._set(txn, "calls", key, rlp.encode(calls))

    def _link(self, txn: lmdb.Transaction, block: Block) -> None:
        key = block.header.hash()
        self._set(txn, "canonical", _number(block.header.number), key)
        self._count(txn, key, 1)
        for index, transaction in enumerate(block.transactions):
            where = key + index.to_bytes(4, "big")
            self._set(txn, "locations", transaction.hash(), where)
            txn.delete(transaction.hash(), db=self._tables["pending"])

    def _unlink(self, txn: lmdb.Transaction, block: Block) -> None:
        txn.delete(_number(block.header.number), db=self._tables["canonical"])
        self._count(txn, block.hash(), -1)
        for transaction in block.transactions:
            txn.delete(transaction.hash(), db=self._tables["locations"])
            self._set(txn, "pending", transaction.hash(), transaction.encode())

    def _count(self, txn: lmdb.Transaction, block_hash: bytes, sign: int) -> None:
        for model, calls in _calls(self._lookup(txn, "calls", block_hash)).items():
            old = int.from_bytes(self._lookup(txn, "call_totals", model) or b"", "big")
            self._set(txn, "call_totals", model, (old + sign * calls).to_bytes(8, "big"))

    def _set(self, txn: lmdb.Transaction, table: str, key: bytes, value: bytes) -> None:
        txn.put(key, value, db=self._tables[table])

    def _lookup(self, txn: lmdb.Transaction, table: str, key: bytes) -> bytes | None:
        found = txn.get(key, db=self._tables[table])
        return None if found is None else bytes(found)

    def _read(self, table: str, key: bytes) -> bytes | None:
        with self._gate, self._env.begin() as txn:
            return self._lookup(txn, table, key)

    def _scan(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        with self._gate, self._env.begin() as txn:
            rows = [(bytes(k), bytes(v)) for k, v in txn.cursor(db=self._tables[table])]
        return iter(rows)

    def _write(self, work: Callable[[lmdb.Transaction], T]) -> T:
        while True:
            try:
                with self._env.begin(write=True) as txn:
                    return work(txn)
            except lmdb.MapFullError as error:
                self._grow(error)
            except lmdb.Error as error:
                # A disk that fills up in mid-write shows as a plain input/output error.
                raise StoreError(
                    f"cannot write the chain: {error}; free disk space, or check the disk"
                ) from error

    def _grow(self, cause: lmdb.MapFullError) -> None:
        with self._gate:
            wanted = self._env.info()["map_size"] * 2
            if wanted > self._limit:
                raise StoreFull(
                    f"the chain's database has reached its bound of {self._limit} bytes; raise it"
                ) from cause
            self._env.set_mapsize(wanted)


@lru_cache(maxsize=256)
def _decode_header(raw: bytes) -> Header:
    """Importing a block asks for its parent's header again and again."""
    return Header.decode(raw)


def _join(header: bytes, body: bytes) -> Block:
    transactions, uncles = rlp.decode_list(rlp.decode(body), 2)
    return Block(
        _decode_header(header),
        tuple(Transaction.from_items(t) for t in rlp.decode_list(transactions)),
        tuple(Header.from_items(u) for u in rlp.decode_list(uncles)),
    )


def _body(block: Block) -> bytes:
    return rlp.encode([[t.items() for t in block.transactions], [u.items() for u in block.uncles]])


def _calls(raw: bytes | None) -> dict[bytes, int]:
    flat = _strings(raw or EMPTY_LIST)
    return {m: int.from_bytes(n, "big") for m, n in zip(flat[::2], flat[1::2], strict=True)}


def _strings(raw: bytes) -> list[bytes]:
    return [rlp.decode_bytes(item) for item in rlp.decode_list(rlp.decode(raw))]


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big")
