"""Blocks, receipts, indices and state nodes, in one LMDB environment.

A block and everything that follows from it (its state nodes, receipts, the canonical index,
the head) go in by **one** write transaction, so a process killed at any instruction leaves
either the old head or the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from node.errors import StoreError, WrongChain
from node.spec.types import Block, Header, Receipt, Transaction
from node.store.blocks import (
    add_block,
    add_nodes,
    fill_heights,
    link_block,
    need_block,
    read_block,
    unlink_block,
)
from node.store.environment import MAP_BYTES, MAP_LIMIT_BYTES, Environment, Records
from node.store.pruning import MINIMUM_NODES, Pruner
from node.store.records import (
    Executed,
    Location,
    decode_calls,
    decode_header,
    decode_number,
    decode_receipts,
    encode_number,
)
from node.store.tables import TABLES
from node.store.use import Use

T = TypeVar("T")


class ChainStore:
    """All methods are safe to call from several threads. Opening raises `StoreError`."""

    def __init__(
        self,
        path: Path,
        map_bytes: int = MAP_BYTES,
        map_limit_bytes: int = MAP_LIMIT_BYTES,
        read_only: bool = False,
    ) -> None:
        if read_only and not (path / "data.mdb").exists():
            raise StoreError(f"there is no chain in {path}; run a node first, or import one")
        self._path = path
        self._use = Use(path)
        self._env = Environment(path, TABLES, map_bytes, map_limit_bytes, read_only=read_only)

    def close(self) -> None:
        """After a reading that is going on; no writing may be."""
        self._env.close()
        self._use.end()

    def batch(self, work: Callable[[], T]) -> T:
        """Let all that ``work`` does here be one transaction; see `Environment.batch`."""
        return self._env.batch(work)

    # States

    def get(self, key: bytes) -> bytes | None:
        """A state node or code, by its keccak (the `NodeStore` protocol)."""
        return self._env.get("nodes", key)

    def put(self, key: bytes, value: bytes) -> None:
        self.put_all({key: value})

    def put_all(self, nodes: Mapping[bytes, bytes]) -> None:
        """State nodes and code, by their keccak."""
        self._env.write(lambda records: add_nodes(records, nodes))

    def oldest_state(self) -> int:
        """Number of the block from which on states are kept, on every branch."""
        return decode_number(self._env.get("meta", b"oldest_state"))

    def count(self, table: str) -> int:
        return self._env.read(lambda records: records.count(table))

    def pruner(self, keep_states: int, minimum_nodes: int = MINIMUM_NODES) -> Pruner:
        """What drops the states of all but so many blocks below the head; 0 keeps all."""
        return Pruner(self._env, self._path / "marks", keep_states, minimum_nodes)

    # Blocks

    def head(self) -> bytes | None:
        return self._env.get("meta", b"head")

    def head_header(self) -> Header:
        """Raises `StoreError` before `begin`."""
        head = self.head()
        header = self.header(head) if head else None
        if header is None:
            raise StoreError("the chain's database is empty")
        return header

    def header(self, block_hash: bytes) -> Header | None:
        raw = self._env.get("headers", block_hash)
        return None if raw is None else decode_header(raw)

    def block(self, block_hash: bytes) -> Block | None:
        return self._env.read(lambda records: read_block(records, block_hash))

    def need_block(self, block_hash: bytes) -> Block:
        """Raises `StoreError` where it is not there."""
        return self._env.read(lambda records: need_block(records, block_hash))

    def receipts(self, block_hash: bytes) -> tuple[Receipt, ...]:
        return decode_receipts(self._env.get("receipts", block_hash))

    def total_difficulty(self, block_hash: bytes) -> int | None:
        raw = self._env.get("difficulties", block_hash)
        return None if raw is None else int.from_bytes(raw, "big")

    def calls(self, block_hash: bytes) -> dict[bytes, int]:
        """INFER calls of a block, by infohash."""
        return decode_calls(self._env.get("calls", block_hash))

    # Indices

    def count_calls(self, infohash: bytes) -> int:
        """INFER calls of a model on the canonical chain."""
        return decode_number(self._env.get("call_totals", infohash))

    def canonical_hash(self, number: int) -> bytes | None:
        return self._env.get("canonical", encode_number(number))

    def location(self, transaction_hash: bytes) -> Location | None:
        raw = self._env.get("locations", transaction_hash)
        return None if raw is None else Location.decode(raw)

    def meta_addresses(self) -> list[bytes]:
        """Every address that a model or input account was created at, on the canonical chain."""
        return self._env.read(lambda records: records.keys("metas"))

    def notices(self, model: bytes, author: bytes) -> list[bytes]:
        """Data of an author's notices to a model (addresses) on the canonical chain, oldest
        first."""
        prefix = model + author

        def find(records: Records) -> list[bytes]:
            found = takewhile(
                lambda each: each[0].startswith(prefix), records.scan("notices", prefix)
            )
            return [data for _, data in found]

        return self._env.read(find)

    # Transactions that wait

    def pending(self) -> list[Transaction]:
        """Transactions that waited when the process ended."""
        return [Transaction.decode(raw) for _, raw in self.records("pending")]

    def keep_pending(self, transaction: Transaction) -> None:
        key, raw = transaction.hash(), transaction.encode()
        self._env.write(lambda records: records.put("pending", key, raw))

    def drop_pending(self, hashes: Sequence[bytes]) -> None:
        def drop(records: Records) -> None:
            for key in hashes:
                records.drop("pending", key)

        self._env.write(drop)

    # Records of others

    def record(self, table: str, key: bytes) -> bytes | None:
        return self._env.get(table, key)

    def records(self, table: str) -> list[tuple[bytes, bytes]]:
        """Key and value of each, ascending by key."""
        return self._env.read(lambda records: list(records.scan(table)))

    def change(self, work: Callable[[Records], T]) -> T:
        """Do ``work`` in one write transaction: all of it is kept, or nothing."""
        return self._env.write(work)

    # Writing blocks

    def begin(self, chain_name: str, genesis: Executed) -> None:
        """Write the genesis block, or check that the database is this chain's."""
        known = self.canonical_hash(0)
        if known is None:
            self._env.write(lambda records: records.put("meta", b"chain", chain_name.encode()))
            self.add(genesis, adopt=[genesis.block.hash()])
        elif known != genesis.block.header.hash():
            name = (self._env.get("meta", b"chain") or b"?").decode()
            raise WrongChain(f"the database holds chain {name}, not {chain_name}; use another home")
        if self._env.read(lambda r: r.count("heights") < r.count("headers")):
            self._env.write(fill_heights)

    def add(
        self, executed: Executed, adopt: Sequence[bytes] = (), abandon: Sequence[bytes] = ()
    ) -> None:
        """Write a block. If it is the new head, ``adopt`` holds the hashes of the blocks that
        become canonical (ascending, this one last), ``abandon`` those that no longer are."""

        def write(records: Records) -> None:
            add_block(records, executed)
            for block_hash in abandon:
                unlink_block(records, need_block(records, block_hash))
            for block_hash in adopt:
                link_block(records, need_block(records, block_hash))
            if adopt:
                records.put("meta", b"head", adopt[-1])

        self._env.write(write)
