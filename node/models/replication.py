"""Keeps what the chain names: fetches what is missing, proves what is here, counts copies.

One thread in rounds. A content of which a copy was lost, here or elsewhere, is noticed within a
few rounds: ours is fetched again, and ours is offered again to those who lost theirs.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from node.models.card import CARD_BYTES_LIMIT, find_reference
from node.models.content import CONTENT_BYTES_LIMIT
from node.models.errors import StorageError
from node.models.index import ModelIndex
from node.models.notices import summarise
from node.models.storage import Storage
from node.models.storage.combined import CombinedStorage
from node.spec.meta import InputMeta, ModelMeta
from node.store import ChainStore

#: Contents of which copies are counted, and which are proved, in one round.
COUNTED, PROVED = 32, 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A content that the chain names."""

    infohash: bytes
    limit_bytes: int = CONTENT_BYTES_LIMIT
    """No more is fetched than was paid for."""
    cid: str = ""
    """Where on IPFS it lies, as a model's author says."""


def find_missing(storage: Storage, index: ModelIndex, store: ChainStore) -> Iterator[Wanted]:
    """The models and inputs at the head, and the cards that models name, which are not here."""
    for entry in index.entries():
        meta = entry.meta
        if not storage.contains(meta.hash):
            limit_bytes = min(meta.raw_size, CONTENT_BYTES_LIMIT)
            yield Wanted(meta.hash, limit_bytes, _find_cid(store, entry.address, meta))
        card = find_reference(meta.comment)
        if card is not None and not storage.contains(card):
            yield Wanted(card, CARD_BYTES_LIMIT)


def _find_cid(store: ChainStore, address: bytes, meta: ModelMeta | InputMeta) -> str:
    if isinstance(meta, InputMeta):
        return ""
    return summarise(store.notices(address, meta.author)).cid


class Replication:
    """``find_missing`` is asked in each round."""

    def __init__(
        self,
        storage: CombinedStorage,
        find_missing: Callable[[], Iterable[Wanted]],
        check_seconds: float,
    ) -> None:
        self._storage = storage
        self._find_missing = find_missing
        self._check_seconds = check_seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replication", daemon=True)
        self._to_count: deque[bytes] = deque()
        self._to_prove: deque[bytes] = deque()
        self._offered: set[bytes] = set()

    def __enter__(self) -> None:
        """Go round in a thread until the exit, which waits for what goes on of a round."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def run_round(self) -> None:
        """One round; raises nothing that the next could not mend."""
        self._offer_new()
        self._request_missing()
        self._prove_some()
        self._count_some()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self.run_round()
            except Exception:  # the top of a loop: the next round may do
                log.exception("a round failed", extra={"action": "replication_failed"})
            self._ending.wait(self._check_seconds)

    def _offer_new(self) -> None:
        """All that is here, once after the start; what comes later is offered as it comes."""
        here = set(self._storage)
        for infohash in sorted(here - self._offered):
            if self._ending.is_set():
                return
            self._storage.offer(infohash)
            self._offered.add(infohash)
        self._offered &= here

    def _request_missing(self) -> None:
        for wanted in self._find_missing():
            if not self._storage.sources or self._storage.contains(wanted.infohash):
                continue
            try:
                if wanted.cid:
                    self._storage.learn(wanted.infohash, wanted.cid)
                self._storage.request(wanted.infohash, wanted.limit_bytes)
            except StorageError as error:
                log.info("%s", error, extra={"action": "fetch_waits"})
                return

    def _prove_some(self) -> None:
        for infohash in self._next(self._to_prove, PROVED):
            if self._ending.is_set():
                return
            if not self._storage.prove(infohash):
                self._offered.discard(infohash)

    def _count_some(self) -> None:
        """Offer again what too few keep."""
        for infohash in self._next(self._to_count, COUNTED):
            if self._ending.is_set():
                return
            if not self._storage.count_copies(infohash).is_replicated:
                self._storage.offer(infohash)

    def _next(self, queue: deque[bytes], count: int) -> list[bytes]:
        """The next contents in turn; each comes once before any comes again."""
        if not queue:
            queue.extend(self._storage)
        return [queue.popleft() for _ in range(min(count, len(queue)))]
