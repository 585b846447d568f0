"""Opening a database that a loss of power, or worse, may have torn.

LMDB keeps two meta pages: the newest names the last commit, the other the one before, whose pages
nothing has overwritten yet. Where the newest commit is not whole, the one before is taken: the
chain is then one commit shorter. Whether it is whole is found by reading all of it in a process
of its own, which a torn page may kill.

Source of the layout: lmdb.h and mdb.c of LMDB 0.9 (data version 1, 64 bits, little-endian).
"""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from node.errors import StoreDamaged

CHECK_SECONDS = 3600
ROOT = Path(__file__).resolve().parents[2]
DATA = "data.mdb"
_PAGE_HEADER = struct.Struct("<QHHHH")
_META = struct.Struct("<II QQ 48s48s QQ")
_MAGIC, _VERSION, _IS_META = 0xBEEFC0DE, 1, 0x08

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Meta:
    """One of the two meta pages, as it lies in the file."""

    slot: int
    raw: bytes
    page_bytes: int
    last_page: int
    transaction: int
    """Number of the commit that it names."""


def read_metas(path: Path) -> list[Meta]:
    """The meta pages that are ones, the newest first."""
    raw = path.read_bytes()[:0] if not path.exists() else _head_of(path)
    found = (_parse(raw, slot) for slot in (0, 1))
    return sorted((m for m in found if m), key=lambda m: m.transaction, reverse=True)


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2 * 65_536)


def _parse(raw: bytes, slot: int) -> Meta | None:
    size = os.sysconf("SC_PAGESIZE")
    page = raw[slot * size : (slot + 1) * size]
    if len(page) < _PAGE_HEADER.size + _META.size:
        return None
    flags = _PAGE_HEADER.unpack_from(page)[2]
    magic, version, _, _, free, _, last, number = _META.unpack_from(page, _PAGE_HEADER.size)
    if not flags & _IS_META or (magic, version) != (_MAGIC, _VERSION):
        return None
    return Meta(slot, page, struct.unpack_from("<I", free)[0] or size, last, number)


def recover(folder: Path) -> None:
    """Make the database whole: as it is, or one commit back. Raises `StoreDamaged` where neither
    is, and leaves it as it was."""
    path = folder / DATA
    if not path.exists() or path.stat().st_size == 0:
        return
    metas = read_metas(path)
    before = _head_of(path)[: 2 * os.sysconf("SC_PAGESIZE")]
    problem = "neither of its meta pages is one"
    for back, meta in enumerate(metas):
        if back or len(metas) < 2:
            _write_metas(path, meta)
        problem = find_damage(folder)
        if not problem:
            if back or len(metas) < 2:
                log.warning("the last commit was torn", extra={"action": "store_recovered"})
            return
    _overwrite(path, 0, before)
    raise StoreDamaged(
        f"the chain's database in {folder} is damaged ({problem}): move it away, and the chain "
        "comes back from peers, or from a file by `farmctl node import`"
    )


def find_damage(folder: Path) -> str:
    """What is wrong with the database, empty where nothing is."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "node.store.check", str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *filter(None, sys.path)))},
            timeout=CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"reading it took more than {CHECK_SECONDS} s"
    if ended.returncode < 0:
        return f"reading it ended by signal {-ended.returncode}"
    return ended.stdout.strip() or f"reading it failed: {ended.stderr[-200:]}" * bool(
        ended.returncode
    )


def _write_metas(path: Path, meta: Meta) -> None:
    """Let both meta pages name one commit."""
    for slot in (0, 1):
        page = struct.pack("<Q", slot) + meta.raw[8:]
        _overwrite(path, slot * len(page), page)


def _overwrite(path: Path, offset: int, raw: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
