"""Blocks that an importer remembers without having them on the chain, bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from node.spec.errors import Reason
from node.spec.types import Block, Header

MAX_BAD = 1024
MAX_WAITING_BYTES = 64 * 1024 * 1024


class Waiting:
    """Blocks that cannot be judged yet; the oldest go first."""

    def __init__(self, limit: int, limit_bytes: int = MAX_WAITING_BYTES) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._blocks: OrderedDict[bytes, tuple[Block, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def keep(self, block: Block) -> None:
        self.drop(block.hash())
        size = len(block.encode())
        self._blocks[block.hash()] = block, size
        self._bytes += size
        while len(self._blocks) > self._limit or self._bytes > self._limit_bytes:
            self.drop(next(iter(self._blocks)))

    def take(self, wanted: Callable[[Header], bool]) -> list[Block]:
        """Remove and return those wanted."""
        taken = [block for block, _ in self._blocks.values() if wanted(block.header)]
        for block in taken:
            self.drop(block.hash())
        return taken

    def drop(self, block_hash: bytes) -> None:
        if block_hash in self._blocks:
            self._bytes -= self._blocks.pop(block_hash)[1]


class BadBlocks:
    """Sealed blocks that broke a rule, so that they and what is built on them need no second
    look; the oldest are forgotten first."""

    def __init__(self, limit: int = MAX_BAD) -> None:
        self._limit = limit
        self._reasons: OrderedDict[bytes, Reason] = OrderedDict()

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, block_hash: bytes, reason: Reason) -> None:
        self._reasons[block_hash] = reason
        if len(self._reasons) > self._limit:
            self._reasons.popitem(last=False)

    def reason(self, block_hash: bytes) -> Reason | None:
        return self._reasons.get(block_hash)
