"""Files of blocks: the RLP of one block after another, as go-ethereum and its descendants export
them; gzipped where the name ends in ``.gz``. Read and written block by block."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from node.core import Node
from node.errors import BlockFileError, StoreError
from node.importing import Outcome
from node.spec import rlp
from node.spec.types import Block
from node.store import ChainStore

#: No network's gas limit lets a block grow so large.
MAX_BLOCK_BYTES = 64 * 1024 * 1024
#: Blocks are imported in groups of at most so many blocks and bytes.
GROUP_BLOCKS = 128
GROUP_BYTES = 8 * 1024 * 1024

Report = Callable[[int], None]
"""Told the number of the block that has just been written or read."""


@dataclass(frozen=True)
class Placed:
    """A block of a file. ``offset`` and ``size`` are bytes of what is in it, unpacked."""

    block: Block
    offset: int
    size: int

    def describe(self) -> str:
        return f"block {self.block.header.number} at byte {self.offset}"


@dataclass(frozen=True)
class ImportCount:
    """Blocks of a file: new ones, and those that were here already."""

    imported: int
    known: int


def export_blocks(
    store: ChainStore, path: Path, first: int, last: int, report: Report = lambda number: None
) -> int:
    """Write canonical blocks, both ends included; return how many. The file appears when it is
    complete. Raises `StoreError` where a block is not there."""
    with writing(path) as file:
        for number in range(first, last + 1):
            block_hash = store.canonical_hash(number)
            block = store.block(block_hash) if block_hash else None
            if block is None:
                raise StoreError(f"block {number} is not kept here; choose others")
            file.write(block.encode())
            report(number)
    return max(0, last + 1 - first)


def import_blocks(node: Node, path: Path, report: Report = lambda number: None) -> ImportCount:
    """Import a file's blocks, those that are known passed over, so that a second call goes on
    where the first ended. Raises `BlockFileError` (what came before is in) or `StoreError`."""
    imported = known = 0
    with opened(path) as file:
        for group in _groups(_following_genesis(node, read_blocks(file))):
            outcomes = _import_group(node, group)
            known += outcomes.count(Outcome.KNOWN)
            imported += len(outcomes) - outcomes.count(Outcome.KNOWN)
            report(group[-1].block.header.number)
    return ImportCount(imported, known)


def import_salvaged(
    node: Node, blocks: Iterable[Block], report: Report = lambda number: None
) -> int:
    """Import blocks that lie in no file; return how many. Raises as `import_blocks` does."""
    count = 0
    for group in _groups(Placed(block, 0, len(block.encode())) for block in blocks):
        count += len(_import_group(node, group))
        report(group[-1].block.header.number)
    return count


def _import_group(node: Node, group: list[Placed]) -> tuple[Outcome, ...]:
    result = node.import_blocks([placed.block for placed in group])
    for placed, outcome in zip(group, result.outcomes, strict=False):
        if outcome is Outcome.ORPHAN:
            head = node.head().number
            raise BlockFileError(
                f"{placed.describe()}: its parent is not here; the head is block {head}, "
                "import the blocks between first"
            )
        if outcome is Outcome.FUTURE:
            raise BlockFileError(f"{placed.describe()}: from the future; set this machine's clock")
    if result.failure is not None:
        failed = group[len(result.outcomes)]
        raise BlockFileError(f"{failed.describe()}: {result.failure}") from result.failure
    return result.outcomes


def _following_genesis(node: Node, blocks: Iterator[Placed]) -> Iterator[Placed]:
    for placed in blocks:
        if placed.block.header.number:
            yield placed
        elif placed.block.hash() != node.store.canonical_hash(0):
            raise BlockFileError(
                f"{placed.describe()}: the genesis of another network than {node.chain.name}"
            )


def _groups(blocks: Iterable[Placed]) -> Iterator[list[Placed]]:
    group: list[Placed] = []
    size = 0
    for placed in blocks:
        group.append(placed)
        size += placed.size
        if len(group) >= GROUP_BLOCKS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def read_blocks(file: BinaryIO) -> Iterator[Placed]:
    """The blocks of an open file. Raises `BlockFileError`, naming the block's place in the file
    and its byte offset, at the first that is none."""
    offset = 0
    for count in range(1 << 62):
        where = f"block {count} of the file, at byte {offset}"
        try:
            raw = read_list(file)
            if raw is None:
                return
            placed = Placed(Block.decode(raw), offset, len(raw))
        except EOFError as error:
            raise BlockFileError(f"{where}: the file ends within it; fetch it again") from error
        except (rlp.RlpError, OSError, zlib.error) as error:
            raise BlockFileError(f"{where}: {error}") from error
        yield placed
        offset += len(raw)


def read_list(file: BinaryIO) -> bytes | None:
    """The RLP of the next list, or None at the file's end. Raises `EOFError` where the file ends
    within it, `rlp.RlpError` where it is none or too long."""
    first = file.read(1)
    if not first:
        return None
    if first[0] < 0xC0:
        raise rlp.RlpError(f"byte {first[0]:#04x} begins no list; this is no file of blocks")
    extra = _exactly(file, max(0, first[0] - 0xF7))
    size = int.from_bytes(extra, "big") if extra else first[0] - 0xC0
    if size > MAX_BLOCK_BYTES:
        raise rlp.RlpError(f"{size} bytes are no block; the bound is {MAX_BLOCK_BYTES}")
    return first + extra + _exactly(file, size)


def _exactly(file: BinaryIO, size: int) -> bytes:
    read = file.read(size)
    if len(read) < size:
        raise EOFError
    return read


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's contents, unpacked by its name. Raises `BlockFileError`."""
    with ExitStack() as stack:
        try:
            file: BinaryIO = stack.enter_context(path.open("rb"))
            if path.suffix == ".gz":
                file = cast("BinaryIO", stack.enter_context(gzip.open(file)))
        except OSError as error:
            raise BlockFileError(f"cannot read {path}: {error.strerror}") from error
        yield file


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to be, packed by its name; it appears, complete, at the end. Raises
    `BlockFileError`."""
    part = path.with_name(path.name + ".part")
    with ExitStack() as stack:
        try:
            plain = stack.enter_context(part.open("wb"))
            packed = path.suffix == ".gz"
            file = stack.enter_context(gzip.open(plain, "wb")) if packed else plain
            yield cast("BinaryIO", file)
            if packed:
                file.close()
            plain.flush()
            os.fsync(plain.fileno())
            part.replace(path)
        except OSError as error:
            raise BlockFileError(f"cannot write {path}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
