"""Who has a store open, and how it was left.

The first process to open a store, alone, finds out whether the last one ended well; if not, the
database is read whole before anybody trusts it. A small file beside the database says how it was
left: it holds a shared lock for each process that has the store open.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from node.errors import StoreError
from node.store.pages import read_metas
from node.store.recovery import DATA, recover

#: A larger store is not read whole after its process was merely killed: the kernel lost nothing.
SMALL_BYTES = 64 * 1024 * 1024


class Use:
    """One opening of a store. Raises `StoreError`, by `recover` too."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        try:
            self._file = os.open(folder / "use.json", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open the chain's database in {folder}: {error}") from error
        try:
            if self._try_alone():
                if not self._is_whole():
                    recover(folder)
                self._note(None)
            fcntl.flock(self._file, fcntl.LOCK_SH)
        except BaseException:
            os.close(self._file)
            raise

    def end(self) -> None:
        """After the database was closed, all of it written."""
        if self._try_alone():
            self._note(self._look())
        os.close(self._file)

    def _try_alone(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _is_whole(self) -> bool:
        """The database is as it was left, or its process was killed while the kernel went on."""
        left, now = self._read(), self._look()
        if left.get("closed") is not None:
            return bool(left["closed"] == now)
        same_kernel = left.get("boot") == _boot() and left.get("inode") == now.get("inode")
        return same_kernel and now["bytes"] > SMALL_BYTES and self._is_long_enough(now["bytes"])

    def _is_long_enough(self, size_bytes: int) -> bool:
        metas = read_metas(self._folder / DATA)
        return len(metas) == 2 and size_bytes >= (metas[0].last_page + 1) * metas[0].page_bytes

    def _look(self) -> dict[str, int]:
        """The database's file as it is now."""
        path = self._folder / DATA
        if not path.exists():
            return {}
        found, metas = path.stat(), read_metas(path)
        return {
            "inode": found.st_ino,
            "bytes": found.st_size,
            "changed_ns": found.st_mtime_ns,
            "transaction": metas[0].transaction if metas else 0,
        }

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(os.pread(self._file, 4096, 0) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _note(self, closed: dict[str, int] | None) -> None:
        noted = {"boot": _boot(), "inode": self._look().get("inode"), "closed": closed}
        raw = json.dumps(noted).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, raw, 0)
        os.fsync(self._file)


def _boot() -> str:
    """Another at each start of the machine."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""
