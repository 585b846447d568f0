"""Models and inputs in a directory: ``<infohash>/data`` or ``<infohash>/data/{symbol,params}``.

This is the layout of the network's own storage. What is written appears whole or not at all, and
every reading is proved by the hash.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from node.models.errors import MalformedModel, ModelCorrupt, ModelNotFound, StorageFull
from node.models.storage import DATA, PARAMETERS, SYMBOL
from node.models.torrent import INFOHASH_BYTES, describe_file, describe_folder

_INCOMING = ".incoming-"
_NAME = re.compile(r"[0-9a-f]{40}")

#: The protocol's limit on the raw size of a model or an input.
CONTENT_BYTES_LIMIT = 1 << 30


class DirectoryStorage:
    """A `node.models.storage.Storage` under ``root``, of at most ``quota_bytes`` (None: no quota).

    One process writes; any may read.
    """

    def __init__(self, root: Path, quota_bytes: int | None = None) -> None:
        self.root = root
        self.quota_bytes = quota_bytes
        root.mkdir(parents=True, exist_ok=True)
        self._clear_incoming()

    def put_model(self, symbol: bytes, parameters: bytes) -> bytes:
        files = {SYMBOL: symbol, PARAMETERS: parameters}
        infohash = describe_folder(files).infohash
        self._put(infohash, {f"{DATA}/{name}": content for name, content in files.items()})
        return infohash

    def put_input(self, content: bytes) -> bytes:
        infohash = describe_file(content).infohash
        self._put(infohash, {DATA: content})
        return infohash

    def read(self, infohash: bytes, file: str) -> bytes:
        """One file, proved by the hash.

        Raises:
            ModelNotFound: it is not here.
            ModelCorrupt: its bytes are not those that the hash names.
        """
        files = self._read_all(infohash)
        if file not in files:
            raise ModelNotFound(f"{infohash.hex()} holds no file {file!r}, only {sorted(files)}")
        return files[file]

    def read_model(self, infohash: bytes) -> tuple[bytes, bytes]:
        files = self._read_all(infohash)
        if set(files) != {SYMBOL, PARAMETERS}:
            raise ModelNotFound(f"{infohash.hex()} is no model")
        return files[SYMBOL], files[PARAMETERS]

    def contains(self, infohash: bytes) -> bool:
        return (self._path(infohash) / DATA).exists()

    def remove(self, infohash: bytes) -> None:
        """Forget it; what is not here is forgotten already."""
        path = self._path(infohash)
        if path.exists():
            leaving = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.root))
            path.rename(leaving / path.name)
            shutil.rmtree(leaving)

    def __iter__(self) -> Iterator[bytes]:
        for path in sorted(self.root.iterdir()):
            if _NAME.fullmatch(path.name):
                yield bytes.fromhex(path.name)

    def used_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def _path(self, infohash: bytes) -> Path:
        if len(infohash) != INFOHASH_BYTES:
            raise ModelNotFound(f"{infohash.hex()[:60]!r} is no infohash of 20 bytes")
        return self.root / infohash.hex()

    def _put(self, infohash: bytes, files: Mapping[str, bytes]) -> None:
        size = sum(len(content) for content in files.values())
        if not 0 < size <= CONTENT_BYTES_LIMIT or not all(files.values()):
            raise MalformedModel(f"{size} bytes are not 1…{CONTENT_BYTES_LIMIT}, no file empty")
        if self._holds(infohash):
            return
        if self.quota_bytes is not None and self.used_bytes() + size > self.quota_bytes:
            raise StorageFull(f"{size} bytes more would exceed the quota of {self.quota_bytes}")
        incoming = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.root))
        try:
            self._write(incoming, files)
            incoming.rename(self._path(infohash))
            _sync_directory(self.root)
        except OSError as error:
            if self._holds(infohash):  # another thread was faster
                return
            raise StorageFull(f"cannot write {size} bytes to {self.root}: {error}") from error
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _holds(self, infohash: bytes) -> bool:
        """True if it is here and whole; what is damaged makes way for a new copy."""
        try:
            self._read_all(infohash)
        except ModelNotFound:
            return False
        except ModelCorrupt:
            self.remove(infohash)
            return False
        return True

    def _write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _sync_directory(path.parent)

    def _read_all(self, infohash: bytes) -> dict[str, bytes]:
        path = self._path(infohash) / DATA
        try:
            if path.is_dir():
                files = {each.name: each.read_bytes() for each in path.iterdir()}
                info = describe_folder(files)
            else:
                files = {DATA: path.read_bytes()}
                info = describe_file(files[DATA])
        except FileNotFoundError as error:
            raise ModelNotFound(f"{infohash.hex()} is not stored; publish or fetch it") from error
        except OSError as error:
            raise ModelCorrupt(f"{infohash.hex()} cannot be read: {error}") from error
        if info.infohash != infohash:
            raise ModelCorrupt(f"{infohash.hex()} is damaged; remove it and fetch it again")
        return files

    def _clear_incoming(self) -> None:
        """Drop what a crash left half written."""
        for path in self.root.glob(f"{_INCOMING}*"):
            shutil.rmtree(path, ignore_errors=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
