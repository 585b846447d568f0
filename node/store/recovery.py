"""Opening a database that a loss of power, or worse, may have torn.

LMDB keeps two meta pages: the newest names the last commit, the other the one before, whose pages
nothing has overwritten yet. Where the newest commit is not whole, the one before is taken: the
chain is then one commit shorter. Whether it is whole is found by reading all of it in a process
of its own, which a torn page may kill.
"""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
from pathlib import Path

from node.errors import StoreDamaged
from node.store.pages import Meta, read_metas

CHECK_SECONDS = 3600
ROOT = Path(__file__).resolve().parents[2]
DATA = "data.mdb"

log = logging.getLogger(__name__)


def recover(folder: Path) -> None:
    """Make the database whole: as it is, or one commit back. Raises `StoreDamaged` where neither
    is, and leaves it as it was."""
    path = folder / DATA
    size_bytes = path.stat().st_size if path.exists() else 0
    if not size_bytes:
        return
    metas = read_metas(path)
    with path.open("rb") as file:
        before = file.read(2 * os.sysconf("SC_PAGESIZE"))
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
    os.truncate(path, size_bytes)
    raise StoreDamaged(
        f"the chain's database in {folder} is damaged ({problem}): `farmctl node repair` makes a "
        "new one of the blocks in it; or move it away, and the chain comes back from peers, or "
        "from a file by `farmctl node import`"
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
