"""From an infohash to a model ready to run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from node.errors import EngineUnavailable, ModelFault
from node.models.cache import Cache, Policy
from node.models.errors import StorageError
from node.models.storage import Storage
from node.spec.cvm import CvmLoadError, Graph, load, load_graph

#: As in the official node.
CACHE_BYTES = 4 << 30
#: Models of which the operations are remembered, and what that takes each.
COUNTS, COUNT_BYTES = 65_536, 200


class GraphLoader:
    """Loads models from a storage and keeps them. Safe for several threads."""

    def __init__(
        self,
        storage: Storage,
        cache_bytes: int = CACHE_BYTES,
        policy: Policy = Policy.LRU,
        *,
        extended: bool = False,
    ) -> None:
        """``extended`` allows models of the extension form, as the chain's ``vm`` says."""
        self.storage = storage
        self.extended = extended
        self.cache: Cache[Graph] = Cache(cache_bytes, policy)
        self._counts: Cache[int] = Cache(COUNTS * COUNT_BYTES)
        self._turns: dict[bytes, tuple[threading.Lock, int]] = {}
        self._lock = threading.Lock()

    def load(self, infohash: bytes) -> Graph:
        """The model of an infohash (20 bytes).

        Raises:
            EngineUnavailable: the storage does not hold it, or not whole.
            ModelFault: it is no valid model; the same on each node.
        """
        if infohash in self.cache:
            return self.cache.find(infohash, lambda: self._load(infohash))
        with self._loading(infohash):
            return self.cache.find(infohash, lambda: self._load(infohash))

    def count_operations(self, infohash: bytes) -> int:
        """Operations of a model's graph, which its symbol alone decides.

        Raises:
            EngineUnavailable: the storage does not hold it, or not whole.
            ModelFault: the symbol is no graph; ``logic`` as the kernel has it.
        """
        known = self._counts.get(infohash)
        if known is not None:
            return known
        symbol, _ = self._read(infohash)
        try:
            count = load_graph(symbol, extended=self.extended).operations()
        except CvmLoadError as error:
            raise ModelFault(f"model {infohash.hex()}: {error}", logic=error.logic) from error
        self._counts.put(infohash, count, COUNT_BYTES)
        return count

    @contextmanager
    def _loading(self, infohash: bytes) -> Iterator[None]:
        """A model is loaded by one thread; the others wait and find it."""
        with self._lock:
            turn, waiting = self._turns.get(infohash, (threading.Lock(), 0))
            self._turns[infohash] = turn, waiting + 1
        try:
            with turn:
                yield
        finally:
            with self._lock:
                waiting = self._turns[infohash][1] - 1
                self._turns[infohash] = turn, waiting
                if not waiting:
                    del self._turns[infohash]

    def _read(self, infohash: bytes) -> tuple[bytes, bytes]:
        try:
            return self.storage.read_model(infohash)
        except StorageError as error:
            raise EngineUnavailable(str(error)) from error

    def _load(self, infohash: bytes) -> tuple[Graph, int]:
        symbol, parameters = self._read(infohash)
        try:
            graph = load(symbol, parameters, extended=self.extended)
            # A model beyond the limit of its gas is none either.
            self._counts.put(infohash, graph.operations(), COUNT_BYTES)
        except CvmLoadError as error:
            # The official node cannot load it either and keeps the transaction out of blocks.
            raise ModelFault(f"model {infohash.hex()}: {error}", logic=False) from error
        return graph, len(symbol) + graph.storage_bytes()
