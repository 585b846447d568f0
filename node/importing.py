"""Importing blocks: full validation, execution, total-difficulty fork choice, reorganisation.

Each block is executed when it comes, on whichever branch it lies, so a change of branch only
rewrites the canonical index. An invalid block raises `InvalidBlock` and changes nothing. A block
whose inference cannot be computed raises `InferRuntimeError` and is kept: `Importer.retry` judges
it when an engine answers again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from node.errors import StoreError
from node.execution import Executor
from node.spec.chain import Chain
from node.spec.errors import InvalidBlock, InvalidHeader, Reason
from node.spec.types import Block, Header
from node.spec.vm import InferRuntimeError
from node.store import ChainStore, Executed
from node.waiting import BadBlocks, Waiting

MAX_ORPHANS = 256
MAX_FUTURES = 64
MAX_STALLED = 64
#: A block that fails so may be another's body under a good header: that header is not bad.
NOT_OF_THE_HEADER = frozenset(
    {
        Reason.BAD_UNCLES_HASH,
        Reason.BAD_TRANSACTIONS_ROOT,
        Reason.TOO_MANY_UNCLES,
        Reason.DUPLICATE_UNCLE,
        Reason.UNCLE_IS_ANCESTOR,
        Reason.DANGLING_UNCLE,
    }
)


class Outcome(StrEnum):
    """What became of a valid block."""

    HEAD = "head"
    SIDE = "side"
    KNOWN = "known"
    FUTURE = "future"
    """Kept until its time comes."""
    ORPHAN = "orphan"
    """Kept until its parent comes."""


class Branch:
    """Stored blocks one after another, read one by one: a deep branch does not fit in memory."""

    def __init__(self, store: ChainStore, hashes: Sequence[bytes]) -> None:
        self._store = store
        self.hashes = tuple(hashes)

    def __len__(self) -> int:
        return len(self.hashes)

    def __iter__(self) -> Iterator[Block]:
        return (self._store.need_block(block_hash) for block_hash in self.hashes)


@dataclass(frozen=True)
class HeadChange:
    """The canonical chain changed: ``abandoned`` left it, ``adopted`` came (both ascending)."""

    adopted: Branch
    abandoned: Branch


@dataclass(frozen=True)
class Imported:
    """What became of blocks that came together, in their order."""

    outcomes: tuple[Outcome, ...]
    failure: InvalidBlock | InferRuntimeError | None = None
    """Why the block after those of ``outcomes`` is not in; those after it were not looked at."""


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
        self.executor = executor
        self._clock = clock
        self.on_head = on_head
        self._orphans = Waiting(MAX_ORPHANS)
        self._futures = Waiting(MAX_FUTURES)
        self._stalled = Waiting(MAX_STALLED)
        self._bad = BadBlocks()
        self.lock = threading.RLock()

    def add(self, block: Block) -> Outcome:
        """Take a block in. Raises `InvalidBlock`, `InferRuntimeError` or `StoreError`; the
        chain is then as it was."""
        with self.lock:
            self._stalled.drop(block.hash())
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

    def close(self) -> None:
        """Nothing is held."""

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
        self._refuse_bad(header)
        self._check_place(header)
        parent = self._store.header(header.parent_hash)
        if parent is None:
            self.executor.check_seal(header)
            self._orphans.keep(block)
            return Outcome.ORPHAN
        if header.timestamp > self._latest_time():
            self.executor.check_seal(header)
            self._futures.keep(block)
            return Outcome.FUTURE
        return self._write(self._execute(block, parent))

    def _execute(self, block: Block, parent: Header) -> Executed:
        try:
            return self.executor.execute(block, parent)
        except InferRuntimeError:
            self._stalled.keep(block)
            raise
        except InvalidHeader:
            raise
        except InvalidBlock as error:
            if error.reason not in NOT_OF_THE_HEADER:
                self._condemn(block.header, error.reason)
            raise

    def _refuse_bad(self, header: Header) -> None:
        """Raises `InvalidBlock` for a block known to be bad or built on one."""
        reason = self._bad.reason(header.hash())
        if reason is not None:
            raise InvalidBlock(reason, f"block {header.number} was refused before")
        if self._bad.reason(header.parent_hash) is not None:
            self.executor.check_seal(header)  # or anybody could fill the list
            self._condemn(header, Reason.BAD_ANCESTOR)
            raise InvalidBlock(Reason.BAD_ANCESTOR, f"block {header.number}")

    def _condemn(self, header: Header, reason: Reason) -> None:
        """Remember a bad block, and forget the orphans that descend from it."""
        self._bad.add(header.hash(), reason)
        queue = [header.hash()]
        while queue:
            for child in self._orphans.take(partial(_follows, queue.pop())):
                self._bad.add(child.hash(), Reason.BAD_ANCESTOR)
                queue.append(child.hash())

    def _check_place(self, header: Header) -> None:
        """Raises `InvalidHeader` where a checkpoint forbids the block, or where its branch left
        the chain below what can be undone."""
        checkpoint = self._chain.checkpoints.get(header.number)
        if checkpoint is not None and checkpoint != header.hash():
            raise InvalidHeader(
                Reason.CONTRADICTS_CHECKPOINT, f"block {header.number} is {checkpoint.hex()}"
            )
        floor = self.floor()
        if header.number <= floor:
            raise InvalidHeader(
                Reason.BRANCH_TOO_DEEP, f"block {header.number}, nothing below {floor} is undone"
            )

    def floor(self) -> int:
        """Number of the highest block that no reorganisation can undo: that of the last
        checkpoint passed, or of the oldest state kept."""
        head = self._store.head_header().number
        passed = [n for n in self._chain.checkpoints if n <= head]
        return max([*passed, self._store.oldest_state()])

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
        change = compare_heads(self._store, executed.block.header, head)
        self._store.add(executed, change.adopted.hashes, change.abandoned.hashes)
        self.on_head(change)
        return Outcome.HEAD


def compare_heads(store: ChainStore, new: Header, head: Header) -> HeadChange:
    """What leads from ``head`` to ``new``, which need not be stored itself."""
    adopted, abandoned = [new.hash()], list[bytes]()
    left, right = new.parent_hash, head.hash()
    while left != right:
        ours, theirs = _need_header(store, left), _need_header(store, right)
        if ours.number >= theirs.number:
            adopted.append(left)
            left = ours.parent_hash
        if theirs.number >= ours.number:
            abandoned.append(right)
            right = theirs.parent_hash
    return HeadChange(Branch(store, adopted[::-1]), Branch(store, abandoned[::-1]))


def _need_header(store: ChainStore, block_hash: bytes) -> Header:
    header = store.header(block_hash)
    if header is None:
        raise StoreError(f"block {block_hash.hex()} is missing; the database is damaged")
    return header


def is_fault(failure: Exception | None) -> bool:
    """Whether who sent the block is to blame: its branch may be honest, and left ours before
    what can be undone."""
    return isinstance(failure, InvalidBlock) and failure.reason is not Reason.BRANCH_TOO_DEEP


def _follows(parent_hash: bytes, header: Header) -> bool:
    return header.parent_hash == parent_hash
