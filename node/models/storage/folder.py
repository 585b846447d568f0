"""Contents that another program keeps on this machine, in the network's own layout.

A CortexTheseus node keeps its models so, as ``<infohash>/data``. Nothing is written there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from node.models.errors import ModelNotFound, StorageError, StorageFull
from node.models.storage import DATA, Errand


class FolderSource:
    """A `node.models.storage.Source` that gives what lies under ``root``. Raises `StorageError`
    where there is no such folder."""

    name = "folder"

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise StorageError(f"there is no folder {root}")
        self._root = root

    def fetch(self, errand: Errand) -> bytes | None:
        source, target = self._root / errand.infohash.hex() / DATA, errand.folder / DATA
        try:
            _check_size(source, errand.limit_bytes)
            _clear(target)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
        except FileNotFoundError as error:
            raise ModelNotFound(f"{self._root} does not hold {errand.infohash.hex()}") from error
        except (OSError, shutil.Error) as error:
            raise StorageError(f"cannot copy {source}: {error}") from error
        errand.report(1.0)
        return None

    def offer(self, infohash: bytes, folder: Path, info: bytes) -> None:
        """Nothing to do: its owner has its own ways."""

    def learn(self, infohash: bytes, cid: str) -> None:
        """Nothing to do: it knows no CIDs."""

    def withdraw(self, infohash: bytes) -> None:
        """Nothing to do: it was not offered."""

    release = withdraw

    def count_copies(self, infohash: bytes) -> int | None:
        return int((self._root / infohash.hex() / DATA).exists())

    def close(self) -> None:
        """Nothing is open."""


def _check_size(source: Path, limit_bytes: int) -> None:
    paths = source.iterdir() if source.is_dir() else [source]
    size = sum(os.stat(path).st_size for path in paths)
    if size > limit_bytes:
        raise StorageFull(f"it has {size} bytes; {limit_bytes} are allowed")


def _clear(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
