"""Importing blocks: full validation, execution, total-difficulty fork choice, reorganisation.

Each block is executed when it comes, on whichever branch it lies, so a change of branch only
rewrites the canonical index. An invalid block raises `InvalidBlock` and changes nothing. A block
whose inference cannot be computed raises `InferRuntimeError` and is kept: `Importer.retry` judges
it when an engine answers again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from node.errors import StoreError
from node.execution import Executor
from node.spec.chain import Chain
from node.spec.errors import InvalidBlock
from node.spec.types import Block, Header
from node.spec.vm import InferRuntimeError
from node.store import ChainStore, Executed

MAX_ORPHANS = 256
MAX_FUTURES = 64
MAX_STALLED = 64


class Outcome(StrEnum):
    """What became of a valid block."""

    HEAD = "head"
    SIDE = "side"
    KNOWN = "known"
    FUTURE = "future"
    """Kept until its time comes."""
    ORPHAN = "orphan"
    """Kept until its parent comes."""


@dataclass(frozen=True)
class HeadChange:
    """The canonical chain changed: ``abandoned`` left it, ``adopted`` came (both ascending)."""

    adopted: tuple[Block, ...]
    abandoned: tuple[Block, ...]


@dataclass(frozen=True)
class Imported:
    """What became of blocks that came together, in their order."""

    outcomes: tuple[Outcome, ...]
    failure: InvalidBlock | InferRuntimeError | None = None
    """Why the block after those of ``outcomes`` is not in; those after it were not looked at."""


class Waiting:
    """Blocks that cannot be judged yet, bounded; the oldest go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def keep(self, block: Block) -> None:
        self._blocks[block.hash()] = block
        if len(self._blocks) > self._limit:
            self._blocks.popitem(last=False)

    def take(self, wanted: Callable[[Header], bool]) -> list[Block]:
        """Remove and return those wanted."""
        taken = [b for b in self._blocks.values() if wanted(b.header)]
        for block in taken:
            del self._blocks[block.hash()]
        return taken


class Importer:
    """Blocks go in one at a time. ``on_head`` is called, under the lock, after each change."""

    def __init__(
        self,
        chain: Chain,
        store: ChainStore,
        executor: Executor,
        clock: Callable[[], float],
        on_head: Callable[[HeadChange], None],
    ) -> None:
        self._chain = chain
        self._store = store
        self._executor = executor
        self._clock = clock
        self._on_head = on_head
        self._orphans = Waiting(MAX_ORPHANS)
        self._futures = Waiting(MAX_FUTURES)
        self._stalled = Waiting(MAX_STALLED)
        self.lock = threading.RLock()

    def add(self, block: Block) -> Outcome:
        """Take a block in. Raises `InvalidBlock`, `InferRuntimeError` or `StoreError`; the
        chain is then as it was."""
        with self.lock:
            outcome = self._add(block)
            if outcome in (Outcome.HEAD, Outcome.SIDE):
                self._adopt_orphans(block)
            return outcome

    def add_all(self, blocks: Sequence[Block]) -> Imported:
        """Take blocks in, each after the one before, up to the first that cannot be. Raises
        `StoreError`."""
        outcomes: list[Outcome] = []
        for block in blocks:
            try:
                outcomes.append(self.add(block))
            except (InvalidBlock, InferRuntimeError) as failure:
                return Imported(tuple(outcomes), failure)
        return Imported(tuple(outcomes))

    @property
    def stalled(self) -> int:
        """Blocks that wait for inference."""
        return len(self._stalled)

    def retry(self) -> int:
        """Try the blocks whose time has come and those that waited for inference; return how
        many are in now."""
        with self.lock:
            due = self._futures.take(lambda h: h.timestamp <= self._latest_time())
            due += self._stalled.take(lambda h: True)
            taken = [b for b in sorted(due, key=lambda b: b.header.number) if self._try(b)]
            for block in taken:
                self._adopt_orphans(block)
            return len(taken)

    def _add(self, block: Block) -> Outcome:
        header = block.header
        if self._store.header(block.hash()) is not None:
            return Outcome.KNOWN
        parent = self._store.header(header.parent_hash)
        if parent is None:
            self._executor.check_seal(header)
            self._orphans.keep(block)
            return Outcome.ORPHAN
        if header.timestamp > self._latest_time():
            self._executor.check_seal(header)
            self._futures.keep(block)
            return Outcome.FUTURE
        try:
            executed = self._executor.execute(block, parent)
        except InferRuntimeError:
            self._stalled.keep(block)
            raise
        return self._write(executed)

    def _latest_time(self) -> int:
        return int(self._clock()) + self._chain.max_future_seconds

    def _adopt_orphans(self, parent: Block) -> None:
        queue = [parent.hash()]
        while queue:
            children = self._orphans.take(partial(_follows, queue.pop()))
            queue += [child.hash() for child in children if self._try(child)]

    def _try(self, block: Block) -> bool:
        try:
            outcome = self._add(block)
        except (InvalidBlock, InferRuntimeError):
            return False
        return outcome in (Outcome.HEAD, Outcome.SIDE)

    def _write(self, executed: Executed) -> Outcome:
        head = self._store.head_header()
        if executed.total_difficulty <= (self._store.total_difficulty(head.hash()) or 0):
            self._store.add(executed)
            return Outcome.SIDE
        change = self._compare(executed.block, head)
        self._store.add(executed, change.adopted, change.abandoned)
        self._on_head(change)
        return Outcome.HEAD

    def _compare(self, new: Block, head: Header) -> HeadChange:
        """What has to change for ``new`` (not yet stored) to be the head."""
        adopted, abandoned = [new], []
        left, right = new.header.parent_hash, head.hash()
        while left != right:
            ours, theirs = self._block(left), self._block(right)
            if ours.header.number >= theirs.header.number:
                adopted.append(ours)
                left = ours.header.parent_hash
            if theirs.header.number >= ours.header.number:
                abandoned.append(theirs)
                right = theirs.header.parent_hash
        return HeadChange(tuple(reversed(adopted)), tuple(reversed(abandoned)))

    def _block(self, block_hash: bytes) -> Block:
        block = self._store.block(block_hash)
        if block is None:
            raise StoreError(f"block {block_hash.hex()} is missing; the database is damaged")
        return block


def _follows(parent_hash: bytes, header: Header) -> bool:
    return header.parent_hash == parent_hash
