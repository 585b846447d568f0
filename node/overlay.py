"""State nodes written in memory over those of the store."""

from __future__ import annotations

from node.spec.trie import NodeStore


class Overlay:
    """Reads fall through; what is put stays in ``nodes`` until a block takes it along."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self.nodes: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        found = self.nodes.get(key)
        return self._store.get(key) if found is None else found

    def put(self, key: bytes, value: bytes) -> None:
        self.nodes[key] = value
