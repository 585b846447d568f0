"""How far a follower has come, on disk."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    infohash: bytes
    raw_size: int
    """No more is fetched than was announced."""

    def __str__(self) -> str:
        return f"{self.infohash.hex()} of {self.raw_size} bytes"


@dataclass(frozen=True)
class Place:
    next_block: int
    last_hash: str
    """Of the block before; empty where that is not known."""
    spent_bytes: int = 0
    """Fetched ahead in all."""
    wanted: tuple[Wanted, ...] = ()


class Journal:
    """A file that is written whole; one that cannot be read counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Place | None:
        try:
            return _decode(json.loads(self._path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s: %s", self._path, error, extra={"action": "journal_unreadable"})
            return None

    def write(self, place: Place) -> None:
        found = {
            "next_block": place.next_block,
            "last_hash": place.last_hash,
            "spent_bytes": place.spent_bytes,
            "wanted": [[each.infohash.hex(), each.raw_size] for each in place.wanted],
        }
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text(json.dumps(found))
            os.replace(beside, self._path)
        except OSError as error:
            log.warning("%s: %s", self._path, error, extra={"action": "journal_unwritten"})


def _decode(found: Any) -> Place:
    wanted = tuple(Wanted(bytes.fromhex(name), int(size)) for name, size in found["wanted"])
    return Place(
        int(found["next_block"]), str(found["last_hash"]), int(found["spent_bytes"]), wanted
    )
