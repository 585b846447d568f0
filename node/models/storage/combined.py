"""The node's storage: its own directory first, then whoever else keeps what is not there.

Whatever comes from elsewhere is proved by its infohash before it is kept, and only what is kept
is handed out. A reader waits a little for a content on its way; meanwhile the inference that
needs it counts as unavailable, and its transaction or block waits.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from node.models.content import CONTENT_BYTES_LIMIT
from node.models.errors import ModelCorrupt, ModelNotFound, StorageError, StorageFull
from node.models.storage import Errand, Interrupted, Source, Whereabouts
from node.models.storage.directory import DirectoryStorage

FETCHERS = 2
MAX_WAITING = 256
#: After a failure, readers do not cause another attempt for so long.
RETRY_SECONDS = 15.0
MAX_REMEMBERED = 100_000

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass
class _Fetch:
    done: Future[None]
    ratio: float = 0.0


@dataclass(frozen=True)
class _Failure:
    until: float
    reason: str


class CombinedStorage:
    """A `Storage` over a directory and sources, asked in their order. Safe for several threads."""

    def __init__(
        self,
        directory: DirectoryStorage,
        sources: Sequence[Source] = (),
        wait_seconds: float = 2.0,
        replicas: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.directory = directory
        self.sources = tuple(sources)
        self.replicas = replicas
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._fetchers = ThreadPoolExecutor(FETCHERS, "fetch")
        self._fetches: dict[bytes, _Fetch] = {}
        self._failures: OrderedDict[bytes, _Failure] = OrderedDict()
        self._elsewhere: OrderedDict[bytes, dict[str, int]] = OrderedDict()

    def close(self) -> None:
        """Fetches end; what they have goes on from there the next time."""
        self._ending.set()
        self._fetchers.shutdown(cancel_futures=True)
        for source in self.sources:
            source.close()

    def put_model(self, symbol: bytes, parameters: bytes) -> bytes:
        infohash = self.directory.put_model(symbol, parameters)
        self.offer(infohash)
        return infohash

    def put_input(self, content: bytes) -> bytes:
        infohash = self.directory.put_input(content)
        self.offer(infohash)
        return infohash

    def read(self, infohash: bytes, file: str) -> bytes:
        return self._read(infohash, lambda: self.directory.read(infohash, file))

    def read_model(self, infohash: bytes) -> tuple[bytes, bytes]:
        return self._read(infohash, lambda: self.directory.read_model(infohash))

    def contains(self, infohash: bytes) -> bool:
        return self.directory.contains(infohash)

    def locate(self, infohash: bytes) -> Whereabouts:
        here = self.contains(infohash)
        with self._lock:
            fetch, failure = self._fetches.get(infohash), self._failures.get(infohash)
            return Whereabouts(
                here=here,
                elsewhere=dict(self._elsewhere.get(infohash, {})),
                fetched_ratio=fetch.ratio if fetch else None,
                problem=failure.reason if failure and not here else "",
                required=self.replicas,
            )

    def remove(self, infohash: bytes) -> None:
        self.directory.remove(infohash)
        for source in self.sources:
            with _forgiven(source, "withdraw"):
                source.withdraw(infohash)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.directory)

    def request(self, infohash: bytes, limit_bytes: int = CONTENT_BYTES_LIMIT) -> Future[None]:
        """Have a content fetched that is not here; ends when it is, or with a `StorageError`."""
        with self._lock:
            known = self._fetches.get(infohash)
            if known is not None:
                return known.done
            if len(self._fetches) >= MAX_WAITING:
                raise ModelNotFound(f"{infohash.hex()} waits: {MAX_WAITING} are being fetched")
            fetch = _Fetch(Future())
            self._fetches[infohash] = fetch
        self._fetchers.submit(self._run, infohash, limit_bytes, fetch)
        return fetch.done

    def learn(self, infohash: bytes, cid: str) -> None:
        """Note that a folder on IPFS is said to hold a content."""
        for source in self.sources:
            with _forgiven(source, "learn"):
                source.learn(infohash, cid)

    def prove(self, infohash: bytes) -> bool:
        """Whether a content is here and whole; a damaged one is set aside."""
        try:
            self.directory.check(infohash)
        except ModelNotFound:
            return False
        except ModelCorrupt as error:
            self._set_aside(infohash, error)
            return False
        return True

    def offer(self, infohash: bytes) -> None:
        """Give a content that is here to the others, by every source."""
        folder = self.directory.folder(infohash)
        for source in self.sources:
            with _forgiven(source, "offer"):
                source.offer(infohash, folder, self.directory.read_info(infohash))

    def count_copies(self, infohash: bytes) -> Whereabouts:
        """Ask every source how many others keep it. Takes as long as they do."""
        counted: dict[str, int] = {}
        for source in self.sources:
            with _forgiven(source, "count"):
                count = source.count_copies(infohash)
                if count is not None:
                    counted[source.name] = count
        with self._lock:
            _remember(self._elsewhere, infohash, counted)
        return self.locate(infohash)

    def _read(self, infohash: bytes, read: Callable[[], T]) -> T:
        try:
            return read()
        except ModelCorrupt as error:
            self._set_aside(infohash, error)
            missing: StorageError = error
        except ModelNotFound as error:
            if self.contains(infohash):  # it holds no such file
                raise
            missing = error
        if not self.sources:
            raise missing
        self._await(infohash)
        return read()

    def _await(self, infohash: bytes) -> None:
        """Wait a little until a content is here; raises `StorageError` where it is not."""
        self.directory.folder(infohash)
        with self._lock:
            failure = self._failures.get(infohash)
        if failure is not None and self._clock() < failure.until:
            raise ModelNotFound(f"{infohash.hex()} is not here: {failure.reason}")
        done = self.request(infohash)
        wait([done], self._wait_seconds)
        if not done.done():
            ratio = self.locate(infohash).fetched_ratio or 0.0
            raise ModelNotFound(f"{infohash.hex()} is being fetched, {ratio:.0%} of it is here")
        done.result()

    def _run(self, infohash: bytes, limit_bytes: int, fetch: _Fetch) -> None:
        """In a fetcher's thread."""
        try:
            self._fetch(infohash, limit_bytes, fetch)
        except (StorageError, Interrupted) as error:
            self._end(infohash)
            fetch.done.set_exception(
                error if isinstance(error, StorageError) else ModelNotFound("the node stops")
            )
        except Exception as error:  # the top of a thread: whoever waits must hear of it
            log.exception("a fetch failed", extra={"action": "fetch_failed"})
            self._end(infohash)
            fetch.done.set_exception(StorageError(f"fetching failed: {error}"))
        else:
            self._end(infohash)
            fetch.done.set_result(None)

    def _end(self, infohash: bytes) -> None:
        with self._lock:
            self._fetches.pop(infohash, None)

    def _fetch(self, infohash: bytes, limit_bytes: int, fetch: _Fetch) -> None:
        if self.contains(infohash):
            return
        reasons = []
        for source in self.sources:
            try:
                self._fetch_from(source, infohash, limit_bytes, fetch)
            except StorageError as error:
                reasons.append(f"{source.name}: {error}")
            else:
                with self._lock:
                    self._failures.pop(infohash, None)
                self.offer(infohash)
                return
        reason = "; ".join(reasons) or "there is no source"
        with self._lock:
            _remember(self._failures, infohash, _Failure(self._clock() + RETRY_SECONDS, reason))
        raise ModelNotFound(f"{infohash.hex()} is not here: {reason}")

    def _fetch_from(self, source: Source, infohash: bytes, limit_bytes: int, fetch: _Fetch) -> None:
        source.release(infohash)
        folder = self.directory.fetching_folder(infohash)

        def report(ratio: float) -> None:
            fetch.ratio = ratio
            if self._ending.is_set():
                raise Interrupted

        began = time.monotonic()
        room = self.directory.room_bytes() + _folder_bytes(folder)
        try:
            info = source.fetch(Errand(infohash, folder, min(limit_bytes, room), report))
        except StorageFull:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.directory.adopt(infohash, folder, info)
        log.info(
            "fetched %s from %s in %.1f s",
            infohash.hex(),
            source.name,
            time.monotonic() - began,
            extra={"action": "content_fetched"},
        )

    def _set_aside(self, infohash: bytes, error: ModelCorrupt) -> None:
        log.warning("%s; set aside", error, extra={"action": "content_damaged"})
        for source in self.sources:
            source.release(infohash)
        self.directory.set_aside(infohash)


@contextmanager
def _forgiven(source: Source, what: str) -> Iterator[None]:
    """What a source cannot do is told and done without."""
    try:
        yield
    except StorageError as error:
        log.warning("%s: %s: %s", source.name, what, error, extra={"action": "source_failed"})


def _remember(table: OrderedDict[bytes, T], key: bytes, value: T) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > MAX_REMEMBERED:
        table.popitem(last=False)


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
