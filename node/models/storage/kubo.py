"""Contents on IPFS, by the RPC of a kubo daemon of the user's own.

Each content is a folder there with the files as they lie here: ``torrent`` and ``data``, or
``torrent``, ``symbol`` and ``params``. IPFS names it by a CID of its own, so a table of
infohash to CID is kept; who wants a content that others added tells its CID (`learn`).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from node.models.content import INFO_BYTES_LIMIT, read_torrent, write_torrent
from node.models.errors import MalformedModel, ModelNotFound, StorageError, StorageFull
from node.models.storage import DATA, PARAMETERS, SYMBOL, Errand
from node.models.storage.directory import TORRENT, read_files

TIMEOUT = httpx.Timeout(20.0, connect=3.0)
#: Providers beyond these are not counted.
MAX_PROVIDERS = 20
MAX_CIDS = 100_000
MAX_REPLY_BYTES = 1 << 20
CHUNK_BYTES = 1 << 18
_CID = re.compile(r"[A-Za-z0-9]{32,128}")


class KuboSource:
    """``table`` is the file of infohash to CID. Raises `StorageError` where it is unreadable."""

    name = "kubo"

    def __init__(self, url: str, table: Path) -> None:
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v0/", timeout=TIMEOUT, trust_env=False
        )
        self._table = table
        self._lock = threading.Lock()
        self._cids = _read_table(table)

    def find_cid(self, infohash: bytes) -> str | None:
        return self._cids.get(infohash.hex())

    def learn(self, infohash: bytes, cid: str) -> None:
        """Note where a content lies; what is fetched from there is proved by the infohash."""
        if not _CID.fullmatch(cid):
            raise MalformedModel(f"{cid[:80]!r} is no CID")
        with self._lock:
            if len(self._cids) >= MAX_CIDS and infohash.hex() not in self._cids:
                raise StorageFull(f"{MAX_CIDS} CIDs are known; forget some contents")
            self._cids[infohash.hex()] = cid
            self._write_table()

    def fetch(self, errand: Errand) -> bytes | None:
        cid = self.find_cid(errand.infohash)
        if cid is None:
            raise ModelNotFound(f"no CID is known for {errand.infohash.hex()}")
        sizes = self._list(cid)
        single = DATA in sizes
        wanted = (DATA,) if single else (SYMBOL, PARAMETERS)
        missing = [name for name in wanted if name not in sizes]
        if missing:
            raise ModelNotFound(f"{cid} is no model and no input: it has {sorted(sizes)}")
        total = sum(sizes[name] for name in wanted)
        if total > errand.limit_bytes:
            raise StorageFull(f"it has {total} bytes; {errand.limit_bytes} are allowed")
        progress = _Progress(errand, total)
        for name in wanted:
            path = errand.folder / DATA if single else errand.folder / DATA / name
            self._fetch_file(f"{cid}/{name}", path, progress)
        return self._fetch_info(cid) if TORRENT in sizes else None

    def offer(self, infohash: bytes, folder: Path, info: bytes) -> None:
        """Add and pin, also again where a pin was lost."""
        known = self.find_cid(infohash)
        if known is not None and self._is_pinned(known):
            return
        files = {TORRENT: write_torrent(info), **read_files(folder)}
        parts = [
            ("file", (name, content, "application/octet-stream")) for name, content in files.items()
        ]
        options = {"pin": "true", "cid-version": "1", "wrap-with-directory": "true"}
        reply = self._post("add", options, parts)
        try:
            added = [json.loads(line) for line in reply.splitlines()]
            cid = next(each["Hash"] for each in added if each["Name"] == "")
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise StorageError("kubo does not say where it added the files") from error
        self.learn(infohash, str(cid))

    def withdraw(self, infohash: bytes) -> None:
        with self._lock:
            cid = self._cids.pop(infohash.hex(), None)
            self._write_table()
        if cid is not None and self._is_pinned(cid):
            self._post("pin/rm", {"arg": cid})

    def release(self, infohash: bytes) -> None:
        """Nothing to do: the daemon has a copy of its own."""

    def count_copies(self, infohash: bytes) -> int | None:
        """Providers that the IPFS network knows, the daemon itself included while it has it
        pinned."""
        cid = self.find_cid(infohash)
        if cid is None:
            return None
        options = {"arg": cid, "num-providers": str(MAX_PROVIDERS)}
        providers = set()
        for line in self._post("routing/findprovs", options).splitlines():
            reply = _parse(line)
            if reply.get("Type") == 4:
                providers |= {each.get("ID") for each in reply.get("Responses") or []}
        own = _parse(self._post("id", {})).get("ID")
        others = len(providers - {own, None, ""})
        return others + self._is_pinned(cid)

    def close(self) -> None:
        self._client.close()

    def _is_pinned(self, cid: str) -> bool:
        try:
            pinned = _parse(self._post("pin/ls", {"arg": cid, "type": "recursive"}))
        except ModelNotFound:  # "is not pinned" is an error of kubo's
            return False
        return cid in (pinned.get("Keys") or {})

    def _list(self, cid: str) -> dict[str, int]:
        objects: Any = _parse(self._post("ls", {"arg": cid, "size": "true"})).get("Objects")
        try:
            return {str(link["Name"]): int(link["Size"]) for link in objects[0]["Links"]}
        except (TypeError, KeyError, IndexError, ValueError) as error:
            raise ModelNotFound(f"kubo does not list {cid}") from error

    def _fetch_file(self, path: str, target: Path, progress: _Progress) -> None:
        target.parent.mkdir(exist_ok=True)
        with self._stream("cat", {"arg": path}) as reply:
            try:
                with target.open("wb") as file:
                    for chunk in reply.iter_bytes(CHUNK_BYTES):
                        progress.add(len(chunk))
                        file.write(chunk)
            except OSError as error:
                raise StorageFull(f"the disk does not take {path}: {error}") from error

    def _fetch_info(self, cid: str) -> bytes:
        options = {"arg": f"{cid}/{TORRENT}", "length": str(INFO_BYTES_LIMIT)}
        return read_torrent(self._post("cat", options, limit_bytes=INFO_BYTES_LIMIT))

    def _post(
        self,
        command: str,
        options: dict[str, str],
        files: Any = None,
        limit_bytes: int = MAX_REPLY_BYTES,
    ) -> bytes:
        content = bytearray()
        with self._stream(command, options, files) as reply:
            for chunk in reply.iter_bytes():
                content += chunk
                if len(content) > limit_bytes:
                    raise StorageError(f"kubo's reply to {command} exceeds {limit_bytes} bytes")
        return bytes(content)

    @contextmanager
    def _stream(
        self, command: str, options: dict[str, str], files: Any = None
    ) -> Iterator[httpx.Response]:
        """Raises `ModelNotFound` where kubo says no, `StorageError` where it does not answer."""
        try:
            with self._client.stream("POST", command, params=options, files=files) as reply:
                if reply.status_code >= 500:
                    raise ModelNotFound(f"kubo refuses {command}: {_problem(reply)}")
                if not reply.is_success:
                    raise StorageError(f"kubo answers {command} with status {reply.status_code}")
                yield reply
        except httpx.HTTPError as error:
            raise StorageError(f"kubo does not answer {command}: {error}") from error

    def _write_table(self) -> None:
        """Whole or not at all. Under the lock."""
        try:
            self._table.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._table.parent, prefix=".cids-")
            with os.fdopen(descriptor, "w") as file:
                json.dump(self._cids, file, indent=0, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._table)
        except OSError as error:
            raise StorageFull(f"cannot write {self._table}: {error}") from error


class _Progress:
    """Counts what came and holds it to what was listed."""

    def __init__(self, errand: Errand, total_bytes: int) -> None:
        self._errand = errand
        self._total_bytes = total_bytes
        self._done_bytes = 0

    def add(self, size: int) -> None:
        self._done_bytes += size
        if self._done_bytes > self._total_bytes:
            raise StorageFull("kubo sends more than it listed")
        self._errand.report(self._done_bytes / self._total_bytes)


def _read_table(path: Path) -> dict[str, str]:
    try:
        table = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} is unreadable ({error}); mend or remove it") from error
    if not isinstance(table, dict):
        raise StorageError(f"{path} is no table of CIDs; mend or remove it")
    return {str(infohash): str(cid) for infohash, cid in table.items()}


def _parse(reply: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(reply)
    except ValueError as error:
        raise StorageError("kubo's reply is no JSON") from error
    return parsed if isinstance(parsed, dict) else {}


def _problem(reply: httpx.Response) -> str:
    content = b""
    for chunk in reply.iter_bytes():
        content += chunk
        if len(content) > 4096:
            break
    try:
        return str(json.loads(content)["Message"])[:200]
    except (ValueError, KeyError, TypeError):
        return f"status {reply.status_code}"
