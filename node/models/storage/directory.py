"""Models and inputs in a directory: ``<infohash>/data`` or ``<infohash>/data/{symbol,params}``.

This is the layout of the network's own storage, as is ``<infohash>/torrent`` beside it, by which
any BitTorrent client can give the content on. What is written appears whole or not at all, and
every reading is proved by the hash. What turns out damaged is set aside under ``.damaged-…``.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from node.models.content import (
    CONTENT_BYTES_LIMIT,
    INFO_BYTES_LIMIT,
    describe,
    is_named,
    prove,
    read_torrent,
    write_torrent,
)
from node.models.errors import MalformedModel, ModelCorrupt, ModelNotFound, StorageFull
from node.models.storage import DATA, PARAMETERS, SYMBOL, Whereabouts
from node.models.torrent import INFOHASH_BYTES

TORRENT = "torrent"
_INCOMING, _DAMAGED, _FETCHING = ".incoming-", ".damaged-", ".fetching-"
#: Damaged and half-fetched contents that are kept; the oldest make way.
MAX_DAMAGED = 4
MAX_FETCHING = 16
_NAME = re.compile(r"[0-9a-f]{40}")


class DirectoryStorage:
    """A `node.models.storage.Storage` under ``root``, of at most ``quota_bytes`` (None: no quota).

    One process writes; any may read.
    """

    def __init__(self, root: Path, quota_bytes: int | None = None) -> None:
        self.root = root
        self.quota_bytes = quota_bytes
        root.mkdir(parents=True, exist_ok=True)
        self._clear(_INCOMING, 0)

    def put_model(self, symbol: bytes, parameters: bytes) -> bytes:
        return self._put({SYMBOL: symbol, PARAMETERS: parameters})

    def put_input(self, content: bytes) -> bytes:
        return self._put({DATA: content})

    def read(self, infohash: bytes, file: str) -> bytes:
        """One file, proved by the hash.

        Raises:
            ModelNotFound: it is not here.
            ModelCorrupt: its bytes are not those that the hash names.
        """
        files, _ = self._read_all(infohash)
        if file not in files:
            raise ModelNotFound(f"{infohash.hex()} holds no file {file!r}, only {sorted(files)}")
        return files[file]

    def read_model(self, infohash: bytes) -> tuple[bytes, bytes]:
        files, _ = self._read_all(infohash)
        if set(files) != {SYMBOL, PARAMETERS}:
            raise ModelNotFound(f"{infohash.hex()} is no model")
        return files[SYMBOL], files[PARAMETERS]

    def read_info(self, infohash: bytes) -> bytes:
        """The info dictionary that names a content which is here. It is proved to be the one;
        the files are read only where it is not kept beside them. Raises as `read`."""
        kept = self._kept_info(infohash)
        return kept if kept is not None else self._read_all(infohash)[1]

    def check(self, infohash: bytes) -> None:
        """Prove all of a content; raises as `read`."""
        self._read_all(infohash)

    def contains(self, infohash: bytes) -> bool:
        return (self.folder(infohash) / DATA).exists()

    def locate(self, infohash: bytes) -> Whereabouts:
        return Whereabouts(self.contains(infohash))

    def remove(self, infohash: bytes) -> None:
        """Forget it; what is not here is forgotten already."""
        shutil.rmtree(self._move(infohash, _INCOMING))

    def set_aside(self, infohash: bytes) -> None:
        """Take a damaged content out of use, and keep it for whoever looks into the cause."""
        if self.folder(infohash).exists():
            self._move(infohash, _DAMAGED)
        self._clear(_DAMAGED, MAX_DAMAGED)

    def __iter__(self) -> Iterator[bytes]:
        for path in sorted(self.root.iterdir()):
            if _NAME.fullmatch(path.name) and (path / DATA).exists():
                yield bytes.fromhex(path.name)

    def used_bytes(self) -> int:
        """Of everything under the root."""
        return sum(_size(path) for path in self.root.rglob("*"))

    def room_bytes(self) -> int:
        """What may still be written, by the quota and on the disk."""
        free = shutil.disk_usage(self.root).free
        return free if self.quota_bytes is None else min(free, self.quota_bytes - self.used_bytes())

    def folder(self, infohash: bytes) -> Path:
        """Where a content lies if it is here. Raises `ModelNotFound` for what is no infohash."""
        if len(infohash) != INFOHASH_BYTES:
            raise ModelNotFound(f"{infohash.hex()[:60]!r} is no infohash of 20 bytes")
        return self.root / infohash.hex()

    def fetching_folder(self, infohash: bytes) -> Path:
        """Where a content comes together, with what came of it before."""
        path = self.root / f"{_FETCHING}{infohash.hex()}"
        path.mkdir(exist_ok=True)
        os.utime(path)
        self._clear(_FETCHING, MAX_FETCHING)
        return path

    def adopt(self, infohash: bytes, folder: Path, info: bytes | None) -> None:
        """Take a fetched folder in. Raises as `read` where it does not have the infohash; it is
        gone then."""
        try:
            info = prove(infohash, read_files(folder), info)
            self._write(folder, {}, info)
            for path in [folder / DATA, *(folder / DATA).rglob("*")]:
                _sync(path)
            if not self._holds(infohash):
                self.remove(infohash)  # what may be left of an earlier copy
                self._place(folder, infohash)
        except OSError as error:
            raise StorageFull(f"cannot keep {infohash.hex()}: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _put(self, files: Mapping[str, bytes]) -> bytes:
        size = sum(len(content) for content in files.values())
        if not 0 < size <= CONTENT_BYTES_LIMIT or not all(files.values()):
            raise MalformedModel(f"{size} bytes are not 1…{CONTENT_BYTES_LIMIT}, no file empty")
        info = describe(files)
        infohash, encoded = info.infohash, info.encode()
        if self._holds(infohash):
            return infohash
        if self.quota_bytes is not None:
            self._make_room(size + len(encoded), self.quota_bytes)
        self._write_new(infohash, files, encoded)
        return infohash

    def _make_room(self, size: int, quota_bytes: int) -> None:
        if self.used_bytes() + size > quota_bytes:
            self._clear(_DAMAGED, 0)
        if self.used_bytes() + size > quota_bytes:
            raise StorageFull(f"{size} bytes more would exceed the quota of {quota_bytes}")

    def _write_new(self, infohash: bytes, files: Mapping[str, bytes], info: bytes) -> None:
        single = set(files) == {DATA}
        placed = files if single else {f"{DATA}/{name}": files[name] for name in files}
        incoming = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.root))
        try:
            self._write(incoming, placed, info)
            self._place(incoming, infohash)
        except OSError as error:
            if self._holds(infohash):  # another thread was faster
                return
            raise StorageFull(f"cannot write to {self.root}: {error}") from error
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _place(self, folder: Path, infohash: bytes) -> None:
        folder.rename(self.folder(infohash))
        _sync(self.root)

    def _holds(self, infohash: bytes) -> bool:
        """True if it is here and whole; what is damaged makes way for a new copy."""
        try:
            self._read_all(infohash)
        except ModelNotFound:
            return False
        except ModelCorrupt:
            self.set_aside(infohash)
            return False
        return True

    def _write(self, folder: Path, files: Mapping[str, bytes], info: bytes) -> None:
        for name, content in {**files, TORRENT: write_torrent(info)}.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _sync(path.parent)

    def _read_all(self, infohash: bytes) -> tuple[dict[str, bytes], bytes]:
        """The files and the info dictionary that proves them."""
        try:
            files = read_files(self.folder(infohash))
        except FileNotFoundError as error:
            raise ModelNotFound(f"{infohash.hex()} is not stored; publish or fetch it") from error
        except OSError as error:
            raise ModelCorrupt(f"{infohash.hex()} cannot be read: {error}") from error
        try:
            return files, prove(infohash, files, self._kept_info(infohash))
        except MalformedModel as error:
            raise ModelCorrupt(str(error)) from error

    def _kept_info(self, infohash: bytes) -> bytes | None:
        """None where none is kept beside the files, or not a readable one."""
        path = self.folder(infohash) / TORRENT
        try:
            if path.stat().st_size > INFO_BYTES_LIMIT:
                return None
            info = read_torrent(path.read_bytes())
        except (OSError, MalformedModel):
            return None
        return info if is_named(infohash, info) else None

    def _move(self, infohash: bytes, prefix: str) -> Path:
        """Into a folder of its own, which stays empty where it is not here."""
        path = self.folder(infohash)
        leaving = Path(tempfile.mkdtemp(prefix=prefix, dir=self.root))
        with suppress(FileNotFoundError):
            path.rename(leaving / path.name)
        return leaving

    def _clear(self, prefix: str, kept: int) -> None:
        """Drop all but the newest folders of a kind, such as what a crash left half written."""
        found = sorted(self.root.glob(f"{prefix}*"), key=lambda path: path.stat().st_mtime)
        for path in found[: max(0, len(found) - kept)]:
            shutil.rmtree(path, ignore_errors=True)


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a content's folder by name, unproved. Raises `OSError`."""
    path = folder / DATA
    if path.is_dir():
        return {each.name: each.read_bytes() for each in path.iterdir()}
    return {DATA: path.read_bytes()}


def _size(path: Path) -> int:
    """0 for a folder, and for what has gone meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
