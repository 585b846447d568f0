"""One LMDB environment with its tables: transactions, a map that grows, errors that say what to
do.

Each transaction's data pages are on disk before its commit returns; only the last commit may be
undone by a loss of power (``metasync=False``), never torn. Several processes may have the same
environment open: one writes at a time, and each follows when another has made the map grow.

This is the only file that imports lmdb.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from node.errors import StoreError, StoreFull

MAP_BYTES = 256 * 1024 * 1024
MAP_LIMIT_BYTES = 1 << 42

T = TypeVar("T")


class Records:
    """The tables within one transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Mapping[str, Any]) -> None:
        self._txn, self._tables = txn, tables

    def get(self, table: str, key: bytes) -> bytes | None:
        if (opened := self._tables.get(table)) is None:
            return None  # read from a database that was written before there was this table
        found = self._txn.get(key, db=opened)
        return None if found is None else bytes(found)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._tables[table])

    def put_new(self, table: str, key: bytes, value: bytes) -> bool:
        """False, and nothing is written, where the key is there."""
        return bool(self._txn.put(key, value, overwrite=False, db=self._tables[table]))

    def drop(self, table: str, key: bytes) -> None:
        self._txn.delete(key, db=self._tables[table])

    def keys(self, table: str) -> list[bytes]:
        """Ascending."""
        return list(self.scan_keys(table))

    def scan(self, table: str, first: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys, ascending from ``first``, with their values."""
        cursor = self._cursor(table, first)
        if cursor is not None:
            yield from ((bytes(key), bytes(value)) for key, value in cursor)

    def scan_keys(self, table: str, first: bytes = b"") -> Iterator[bytes]:
        """Keys, ascending from ``first``."""
        cursor = self._cursor(table, first)
        if cursor is not None:
            yield from (bytes(key) for key in cursor.iternext(values=False))

    def _cursor(self, table: str, first: bytes) -> lmdb.Cursor | None:
        """At the first key from ``first`` on, None where there is none."""
        if (opened := self._tables.get(table)) is None:
            return None
        cursor = self._txn.cursor(db=opened)
        return cursor if cursor.set_range(first) else None

    def count(self, table: str) -> int:
        """Entries, known without a look at them."""
        opened = self._tables.get(table)
        return 0 if opened is None else int(self._txn.stat(opened)["entries"])

    def clear(self, table: str) -> None:
        self._txn.drop(self._tables[table], delete=False)


class Environment:
    """All methods are safe to call from several threads."""

    def __init__(
        self,
        path: Path,
        tables: Sequence[str],
        map_bytes: int = MAP_BYTES,
        map_limit_bytes: int = MAP_LIMIT_BYTES,
        durable: bool = True,
        read_only: bool = False,
    ) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._limit = map_limit_bytes
        self._is_kept = durable and not read_only
        self._gate = threading.Lock()  # readers stand aside while the map changes,
        self._writing = threading.Lock()  # and so does the writer; taken before the gate
        self._batch = threading.local()
        try:
            self._env = lmdb.open(
                str(path),
                map_size=map_bytes,
                max_dbs=len(tables),
                metasync=False,
                sync=durable,
                mode=0o600,
                readonly=read_only,
            )
            self._env.reader_check()  # of processes that were killed
            self._tables = dict(self._open(tables, read_only))
        except lmdb.Error as error:
            raise StoreError(f"cannot open the chain's database in {path}: {error}") from error

    def _open(self, tables: Sequence[str], read_only: bool) -> Iterator[tuple[str, Any]]:
        for name in tables:
            try:
                yield name, self._env.open_db(name.encode(), create=not read_only)
            except (lmdb.NotFoundError, lmdb.ReadonlyError):
                continue

    def close(self) -> None:
        """After a reading that is going on; no writing may be."""
        with self._writing, self._gate:
            if self._is_kept:
                self._env.sync(True)
            self._env.close()

    def get(self, table: str, key: bytes) -> bytes | None:
        return self.read(lambda records: records.get(table, key))

    def read(self, work: Callable[[Records], T]) -> T:
        """Do ``work`` on one snapshot; whatever it returns must not be an open iterator."""
        if (records := self._batched()) is not None:
            return work(records)
        while True:
            try:
                with self._gate, self._env.begin() as txn:
                    return work(Records(txn, self._tables))
            except lmdb.MapResizedError:
                self._adopt_map()
            except lmdb.Error as error:
                raise StoreError(f"cannot read the chain: {error}; check the disk") from error

    def write(self, work: Callable[[Records], T]) -> T:
        """Do ``work`` in one write transaction: all of it is kept, or nothing."""
        if (records := self._batched()) is not None:
            return work(records)
        while True:
            try:
                with self._writing, self._env.begin(write=True) as txn:
                    return work(Records(txn, self._tables))
            except lmdb.MapFullError as error:
                self._grow(error)
            except lmdb.MapResizedError:
                self._adopt_map()
            except lmdb.Error as error:
                # A disk that fills up in mid-write shows as a plain input/output error.
                raise StoreError(
                    f"cannot write the chain: {error}; free disk space, or check the disk"
                ) from error

    def batch(self, work: Callable[[], T]) -> T:
        """Let all that ``work`` reads and writes here, in this thread, be one transaction. An
        exception undoes it. Where the map had to grow, ``work`` is done again from the start."""

        def run(records: Records) -> T:
            self._batch.records = records
            try:
                return work()
            finally:
                self._batch.records = None

        return self.write(run)

    def _batched(self) -> Records | None:
        """The transaction of the batch that this thread is in."""
        return getattr(self._batch, "records", None)

    def _grow(self, cause: lmdb.MapFullError) -> None:
        with self._writing, self._gate:
            wanted = self._env.info()["map_size"] * 2
            if wanted > self._limit:
                raise StoreFull(
                    f"the chain's database has reached its bound of {self._limit} bytes; raise it"
                ) from cause
            self._env.set_mapsize(wanted)

    def _adopt_map(self) -> None:
        """Another process has made the map grow."""
        with self._writing, self._gate:
            self._env.set_mapsize(0)
