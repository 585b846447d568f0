"""Blocks that were sealed here and wait for inference. Their miner was told yes, so they are kept
over a restart."""

from __future__ import annotations

from collections.abc import Callable

from node.spec.errors import InvalidBlock
from node.spec.types import Block
from node.spec.vm.context import InferRuntimeError
from node.store import ChainStore, Records

#: More do not wait for one head; the ones with the least hash go first.
MAX_SEALED = 64
TABLE = "sealed"


class SealedBlocks:
    def __init__(self, store: ChainStore) -> None:
        self._store = store

    def keep(self, block: Block) -> None:
        def put(records: Records) -> None:
            records.put(TABLE, block.hash(), block.encode())
            for key in records.keys(TABLE)[:-MAX_SEALED]:
                records.drop(TABLE, key)

        self._store.change(put)

    def resume(self, take: Callable[[Block], object]) -> None:
        """After a start, give each to the importer; one that breaks a rule goes."""
        for key, raw in self._store.records(TABLE):
            try:
                take(Block.decode(raw))
            except InvalidBlock:
                self._drop(key)
            except InferRuntimeError:
                continue
        self.settle()

    def settle(self) -> None:
        """Forget those that are in."""
        for key, _ in self._store.records(TABLE):
            if self._store.header(key) is not None:
                self._drop(key)

    def _drop(self, key: bytes) -> None:
        self._store.change(lambda records: records.drop(TABLE, key))
