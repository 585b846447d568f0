"""From an infohash to a model ready to run."""

from __future__ import annotations

from node.errors import EngineUnavailable, ModelFault
from node.models.cache import Cache, Policy
from node.models.errors import StorageError
from node.models.storage import Storage
from node.spec.cvm import CvmLoadError, Graph, load

#: As in the official node.
CACHE_BYTES = 4 << 30


class GraphLoader:
    """Loads models from a storage and keeps them. Safe for several threads."""

    def __init__(
        self, storage: Storage, cache_bytes: int = CACHE_BYTES, policy: Policy = Policy.LRU
    ) -> None:
        self.storage = storage
        self.cache: Cache[Graph] = Cache(cache_bytes, policy)

    def load(self, infohash: bytes) -> Graph:
        """The model of an infohash (20 bytes).

        Raises:
            EngineUnavailable: the storage does not hold it, or not whole.
            ModelFault: it is no valid model; the same on each node.
        """
        return self.cache.find(infohash, lambda: self._load(infohash))

    def _load(self, infohash: bytes) -> tuple[Graph, int]:
        try:
            symbol, parameters = self.storage.read_model(infohash)
        except StorageError as error:
            raise EngineUnavailable(str(error)) from error
        try:
            graph = load(symbol, parameters)
        except CvmLoadError as error:
            # The official node cannot load it either and keeps the transaction out of blocks.
            raise ModelFault(f"model {infohash.hex()}: {error}", logic=False) from error
        return graph, len(symbol) + graph.storage_bytes()
