"""Accepted shares that are not in the store yet, in files.

A record is handed to the system before the miner is answered, so a kill of the process loses
none. A loss of power may take those of the last second.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ACCOUNT_BYTES, WORK_BYTES = 20, 32
RECORD_BYTES = ACCOUNT_BYTES + WORK_BYTES


class ShareJournal:
    """Numbered files; one goes once the store has its shares. `forget` may be called from
    another thread."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._file = -1
        self._number = max(self._numbers(), default=0)

    def read(self, after: int) -> Iterator[tuple[bytes, int]]:
        """Account and work of each share in the files above this number."""
        for number in self._numbers():
            if number > after:
                yield from _records(self._path(number).read_bytes())

    def add(self, account: bytes, work: int) -> None:
        """Raises OSError where the disk does not take it."""
        if self._file < 0:
            self._number += 1
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.open(self._path(self._number), flags, 0o600)
        os.write(self._file, account + work.to_bytes(WORK_BYTES, "big"))

    def turn(self) -> int:
        """Begin another file with the next share; the number of the last one so far."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        return self._number

    def skip(self, number: int) -> None:
        """Use numbers above this one only."""
        self._number = max(self._number, number)

    def forget(self, number: int) -> None:
        """Remove the files up to this one."""
        for old in self._numbers():
            if old <= number:
                self._path(old).unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.shares"))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:020}.shares"


def _records(raw: bytes) -> Iterator[tuple[bytes, int]]:
    """A loss of power may have cut the last one, or left zeros."""
    for start in range(0, len(raw) - RECORD_BYTES + 1, RECORD_BYTES):
        record = raw[start : start + RECORD_BYTES]
        work = int.from_bytes(record[ACCOUNT_BYTES:], "big")
        if work:
            yield record[:ACCOUNT_BYTES], work
