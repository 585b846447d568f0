"""The chain of headers on disk: checked in full, bounded, whole after a kill at any moment."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from node.errors import StoreError, WrongChain
from node.light.errors import FeedLies, LightError
from node.spec.chain import Chain
from node.spec.errors import InvalidHeader, Reason
from node.spec.header import SealVerifier, verify_header
from node.spec.types import Header

TOTAL_BYTES = 40
#: Headers are forgotten when so many more than wanted have come together.
PRUNE_HEADERS = 500
#: Headers off the best chain that are kept. Cheap ones could be had without end: a branch of more,
#: and of less weight than the best, is dropped.
MAX_SIDE_HEADERS = 20_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS headers (
    hash BLOB PRIMARY KEY, number INTEGER NOT NULL, total BLOB NOT NULL, encoded BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS headers_by_number ON headers (number);
CREATE TABLE IF NOT EXISTS line (number INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


class HeaderChain:
    """Grows from a root that is taken on trust: genesis or a checkpoint. ``fetch_root`` is asked
    for it once, where nothing is kept yet. Total difficulties count from there. Safe for several
    threads. Raises `StoreError`."""

    def __init__(
        self,
        chain: Chain,
        path: Path,
        root_hash: bytes,
        fetch_root: Callable[[], Header],
        verify_seal: SealVerifier,
        clock: Callable[[], float],
        kept_headers: int,
    ) -> None:
        self._chain, self._verify_seal, self._clock = chain, verify_seal, clock
        self._kept = kept_headers
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._begin(root_hash, fetch_root)
        except sqlite3.Error as error:
            raise StoreError(f"the headers in {path} cannot be read: {error}") from error

    def _begin(self, root_hash: bytes, fetch_root: Callable[[], Header]) -> None:
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)
        kept = self._value("SELECT value FROM facts WHERE name = 'root'")
        if kept is None:
            root = fetch_root()
            with self._database:
                self._database.execute("INSERT INTO facts VALUES ('root', ?)", (root.hash(),))
                self._insert(root, root.difficulty)
                self._database.execute("INSERT INTO line VALUES (?, ?)", (root.number, root.hash()))
        elif kept != root_hash:
            raise WrongChain(
                "the kept headers begin at another block; remove node/light to begin anew"
            )
        self._head = self._load_head()

    def _load_head(self) -> Header:
        newest = self._value("SELECT hash FROM line ORDER BY number DESC LIMIT 1")
        header = self.header(newest) if newest is not None else None
        if header is None:
            raise StoreError("the kept headers have no end; remove node/light to begin anew")
        return header

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @property
    def head(self) -> Header:
        return self._head

    def header(self, block_hash: bytes) -> Header | None:
        """None where it was never seen or is forgotten."""
        encoded = self._value("SELECT encoded FROM headers WHERE hash = ?", block_hash)
        return Header.decode(encoded) if encoded is not None else None

    def hash_at(self, number: int) -> bytes | None:
        """Of the best chain."""
        return self._value("SELECT hash FROM line WHERE number = ?", number)

    def total_difficulty(self, block_hash: bytes) -> int | None:
        total = self._value("SELECT total FROM headers WHERE hash = ?", block_hash)
        return None if total is None else int.from_bytes(total, "big")

    def oldest(self) -> int:
        """The lowest number that is still kept."""
        with self._lock, closing(self._database.execute("SELECT min(number) FROM line")) as rows:
            return int(rows.fetchone()[0])

    def add(self, headers: Sequence[Header]) -> int:
        """Check headers, each on the one before it, and keep the valid ones; return how many
        were new. Raises `InvalidHeader` at the first that breaks a rule, of which one whose time
        has not come is not held against who sent it; and `FeedLies` where a lighter branch grows
        beyond all measure."""
        fresh: list[tuple[Header, int]] = []
        try:
            self._check(headers, fresh)
        finally:
            if fresh:
                self._keep(fresh)
        return len(fresh)

    def _check(self, headers: Sequence[Header], fresh: list[tuple[Header, int]]) -> None:
        parent: Header | None = None
        total = 0
        for header in headers:
            known = self.total_difficulty(header.hash())
            if known is not None:
                parent, total = header, known
                continue
            if parent is None or parent.hash() != header.parent_hash:
                parent = self.header(header.parent_hash)
                total = self.total_difficulty(header.parent_hash) or 0
            if parent is None:
                raise InvalidHeader(Reason.UNKNOWN_PARENT, f"block {header.number}")
            verify_header(self._chain, header, parent, int(self._clock()), self._verify_seal)
            parent, total = header, total + header.difficulty
            fresh.append((header, total))

    def _keep(self, fresh: Sequence[tuple[Header, int]]) -> None:
        best, most = max(fresh, key=lambda pair: pair[1])
        with self._lock:
            try:
                with self._database:
                    is_better = most > self._total(self._head.hash())
                    for header, total in fresh:
                        self._insert(header, total)
                    if is_better:
                        self._adopt(best)
                        self._forget(best.number)
                    sides = self._drop_sides()
            except sqlite3.Error as error:
                raise LightError(f"headers cannot be written: {error}") from error
            if is_better:
                self._head = best
        if sides and not is_better:
            raise FeedLies(f"a branch of {sides} headers that weighs less than the best one")

    def _drop_sides(self) -> int:
        """Drop what lies off the best chain where it has become too much; how much that was."""
        count = "SELECT (SELECT count(*) FROM headers) - (SELECT count(*) FROM line)"
        (sides,) = self._database.execute(count).fetchone()
        if sides <= MAX_SIDE_HEADERS:
            return 0
        self._database.execute("DELETE FROM headers WHERE hash NOT IN (SELECT hash FROM line)")
        return int(sides)

    def _insert(self, header: Header, total: int) -> None:
        row = (header.hash(), header.number, total.to_bytes(TOTAL_BYTES, "big"), header.encode())
        self._database.execute("INSERT OR IGNORE INTO headers VALUES (?, ?, ?, ?)", row)

    def _total(self, block_hash: bytes) -> int:
        rows = self._database.execute("SELECT total FROM headers WHERE hash = ?", (block_hash,))
        return int.from_bytes(rows.fetchone()[0], "big")

    def _adopt(self, head: Header) -> None:
        """Make the line end at ``head``."""
        run = self._database.execute
        run("DELETE FROM line WHERE number > ?", (head.number,))
        number, block_hash = head.number, head.hash()
        while True:
            there = run("SELECT hash FROM line WHERE number = ?", (number,)).fetchone()
            if there is not None and there[0] == block_hash:
                return
            run("INSERT OR REPLACE INTO line VALUES (?, ?)", (number, block_hash))
            row = run("SELECT encoded FROM headers WHERE hash = ?", (block_hash,)).fetchone()
            if row is None:
                return
            number, block_hash = number - 1, Header.decode(row[0]).parent_hash

    def _forget(self, head: int) -> None:
        """Drop what lies too far back, side branches too."""
        (oldest,) = self._database.execute("SELECT min(number) FROM headers").fetchone()
        if head - oldest < self._kept + PRUNE_HEADERS:
            return
        for table in ("headers", "line"):
            self._database.execute(f"DELETE FROM {table} WHERE number <= ?", (head - self._kept,))

    def _value(self, query: str, *keys: object) -> bytes | None:
        with self._lock, closing(self._database.execute(query, keys)) as rows:
            row = rows.fetchone()
        return row[0] if row else None
