"""The shares that a block is divided by: the last ones of a window of work (PPLNS).

Shares add up in slices of a hundredth of the window. The open slice is written each second, the
oldest are dropped whole, so disk and memory stay bounded by slices and accounts. Until then the
journal has them: a killed process loses no share, and none is counted twice.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path

from node.spec import rlp
from node.store import ChainStore, Records
from node.stratum.journal import ShareJournal

SLICES = 100
#: Of the number of the last journal file whose shares are in the store.
JOURNAL_KEY = b"share journal"

log = logging.getLogger(__name__)
#: Accounts beyond these in one slice wait for the next, so a slice ends there.
MAX_SLICE_ACCOUNTS = 10_000


@dataclass(frozen=True)
class Slice:
    """Work by account, with its place in the order."""

    number: int
    work: dict[bytes, int]
    journal: int
    """The last file of the journal whose shares are in it or in a slice before."""

    @property
    def key(self) -> bytes:
        return self.number.to_bytes(8, "big")

    def total(self) -> int:
        return sum(self.work.values())


class ShareLedger:
    """`add`, `begin_flush` and `end_flush` belong to one thread; `write` may run in another."""

    def __init__(self, store: ChainStore, folder: Path) -> None:
        """``folder`` is the journal's. Raises OSError."""
        self._store = store
        self._journal = ShareJournal(folder)
        self._totals: Counter[bytes] = Counter()
        self._closed: deque[tuple[int, int]] = deque()
        number = 0
        for key, value in store.records("shares"):
            number = int.from_bytes(key, "big")
            work = decode_work(value)
            self._totals.update(work)
            self._closed.append((number, sum(work.values())))
        self._open: Counter[bytes] = Counter()
        self._number = number + 1
        self._dirty = self._warned = False
        self._recover()

    def _recover(self) -> None:
        written = int.from_bytes(self._store.record("meta", JOURNAL_KEY) or b"", "big")
        self._journal.skip(written)
        for account, work in self._journal.read(written):
            self._count(account, work)

    def add(self, account: bytes, work: int) -> None:
        """Count a share, once it is on disk."""
        try:
            self._journal.add(account, work)
        except OSError as error:
            self._warn(error)
        self._count(account, work)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            log.error("a kill would lose shares: %s", error, extra={"action": "shares_at_risk"})
        self._warned = True

    def _count(self, account: bytes, work: int) -> None:
        self._open[account] += work
        self._totals[account] += work
        self._dirty = True

    def weights(self) -> dict[bytes, int]:
        """Work by account within the window."""
        return dict(self._totals)

    def begin_flush(self, window: int) -> tuple[Slice | None, list[int]]:
        """The slice to be written, and the numbers of those that have left the window (of so
        much work)."""
        gone = self._drop_old(window)
        if not self._dirty:
            return None, gone
        self._dirty = False
        piece = Slice(self._number, dict(self._open), self._journal.turn())
        if piece.total() * SLICES >= window or len(piece.work) >= MAX_SLICE_ACCOUNTS:
            self._closed.append((self._number, piece.total()))
            self._number += 1
            self._open = Counter()
        return piece, gone

    def _drop_old(self, window: int) -> list[int]:
        gone = []
        left = sum(work for _, work in self._closed)
        while self._closed and left - self._closed[0][1] >= window:
            number, work = self._closed.popleft()
            left -= work
            gone.append(number)
        return gone

    def write(self, piece: Slice | None, gone: list[int]) -> list[dict[bytes, int]]:
        """Keep both in one transaction; what has gone, for `end_flush`."""
        if piece is None and not gone:
            return []
        dropped = self._store.change(lambda records: write(records, piece, gone))
        if piece is not None:
            self._journal.forget(piece.journal)
        return dropped

    def end_flush(self, dropped: list[dict[bytes, int]]) -> None:
        for work in dropped:
            self._totals.subtract(work)
        if dropped:
            self._totals = +self._totals


def write(records: Records, piece: Slice | None, gone: list[int]) -> list[dict[bytes, int]]:
    """Within one transaction; what has gone."""
    dropped = []
    for number in gone:
        key = number.to_bytes(8, "big")
        dropped.append(decode_work(records.get("shares", key) or b"\xc0"))
        records.drop("shares", key)
    if piece is not None:
        records.put("shares", piece.key, encode_work(piece.work))
        records.put("meta", JOURNAL_KEY, piece.journal.to_bytes(8, "big"))
    return dropped


def encode_work(work: dict[bytes, int]) -> bytes:
    return rlp.encode([[account, rlp.encode_int(amount)] for account, amount in work.items()])


def decode_work(raw: bytes) -> dict[bytes, int]:
    pairs = (rlp.decode_list(item, 2) for item in rlp.decode_list(rlp.decode(raw)))
    return {rlp.decode_bytes(a, 20): rlp.decode_int(w, 32) for a, w in pairs}
