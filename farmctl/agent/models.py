"""Models on the rig's disk: fetched from the node in chunks, verified, bounded in bytes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import threading
from pathlib import Path

from farmctl.bus import Bus
from farmctl.errors import NotFound, StoreError
from farmctl.files import write_atomic
from farmctl.model_transfer import FileName, fetch
from node.models.content import prove
from node.models.errors import MalformedModel, ModelCorrupt

FILES: tuple[FileName, ...] = ("symbol", "params")
#: SHA-256 of a symbol that was verified together with its parameters.
DIGEST = "symbol.sha256"
CAPACITY_BYTES = 8 * 2**30
_INFOHASH = re.compile(r"^[0-9a-f]{40}$")


def is_model(infohash: str, files: dict[str, bytes]) -> bool:
    """Whether the files are the model's."""
    try:
        prove(bytes.fromhex(infohash), files)
    except (ValueError, MalformedModel, ModelCorrupt):
        return False
    return True


class ModelFiles:
    """A folder of models by infohash; the longest unused go when it is full."""

    def __init__(self, folder: Path, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._folder = folder
        self._capacity_bytes = capacity_bytes
        self._making_room = threading.Lock()

    async def get(self, bus: Bus, infohash: str) -> tuple[bytes, bytes]:
        """Symbol and parameters. Raises `NotFound` when the node has no such model or what it
        sent is not it, `BusError` when it does not answer."""
        if not _INFOHASH.match(infohash):
            raise NotFound(f"{infohash!r} is no infohash: 40 lower-case hex digits")
        files = await asyncio.to_thread(self._read, infohash)
        if files is None:
            files = {str(name): await fetch(bus, infohash, name) for name in FILES}
            if not await asyncio.to_thread(is_model, infohash, files):
                raise NotFound(f"the node sent other files than those of model {infohash}")
            await asyncio.to_thread(self._keep, infohash, files)
        return files["symbol"], files["params"]

    def symbol(self, infohash: str) -> bytes | None:
        """The symbol alone, as it was when the whole model was last verified; None where that is
        not known."""
        folder = self._folder / infohash
        try:
            symbol, digest = (folder / "symbol").read_bytes(), (folder / DIGEST).read_bytes()
        except OSError:
            return None
        return symbol if hashlib.sha256(symbol).digest() == digest else None

    def _read(self, infohash: str) -> dict[str, bytes] | None:
        folder = self._folder / infohash
        try:
            files = {str(name): (folder / name).read_bytes() for name in FILES}
        except OSError:
            return None
        if not is_model(infohash, files):
            shutil.rmtree(folder, ignore_errors=True)
            return None
        write_atomic(folder / DIGEST, hashlib.sha256(files["symbol"]).digest())
        os.utime(folder)
        return files

    def _keep(self, infohash: str, files: dict[str, bytes]) -> None:
        with self._making_room:
            self._make_room(sum(map(len, files.values())))
            for name, content in files.items():
                write_atomic(self._folder / infohash / name, content)
            digest = hashlib.sha256(files["symbol"]).digest()
            write_atomic(self._folder / infohash / DIGEST, digest)

    def _make_room(self, wanted_bytes: int) -> None:
        if wanted_bytes > self._capacity_bytes:
            raise StoreError(f"a model of {wanted_bytes} bytes exceeds this rig's room for models")
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = sorted(self._folder.iterdir(), key=lambda one: one.stat().st_mtime)
        sizes = {one: sum(f.stat().st_size for f in one.iterdir()) for one in kept}
        while kept and sum(sizes[one] for one in kept) + wanted_bytes > self._capacity_bytes:
            shutil.rmtree(kept.pop(0), ignore_errors=True)
