"""The pages of an LMDB file: each that its trees use is there, of the right kind, used once, and
not in the list of free ones, or a later write would end up in it.

Source of the layout: lmdb.h and mdb.c of LMDB 0.9 (data version 1, 64 bits, little-endian).
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.errors import StoreDamaged

_PAGE = struct.Struct("<QHHHH")
"""Page number, padding, flags, lower and upper bound of the room (or pages of an overflow)."""
_META = struct.Struct("<II QQ 48s48s QQ")
"""Magic, version, address, map size, free list, main tree, last page, transaction."""
_TREE = struct.Struct("<IHHQQQQQ")
"""Padding, flags, depth, branch, leaf and overflow pages, entries, root."""
_NODE = struct.Struct("<HHHH")
"""Low and high half of the size or page number, flags, size of the key."""
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _IS_META = 0x01, 0x02, 0x04, 0x08
_BIG_VALUE, _SUBTREE = 0x01, 0x02
_NONE = 2**64 - 1
_MAX_DEPTH = 32


@dataclass(frozen=True)
class Meta:
    """One of the two meta pages, as it lies in the file."""

    slot: int
    raw: bytes
    page_bytes: int
    last_page: int
    transaction: int
    """Number of the commit that it names."""
    free_root: int
    main_root: int


def read_metas(path: Path) -> list[Meta]:
    """The meta pages that are ones, the newest first."""
    size = os.sysconf("SC_PAGESIZE")
    with path.open("rb") as file:
        found = [_parse_meta(file.read(size), slot) for slot in (0, 1)]
    return sorted((m for m in found if m), key=lambda m: m.transaction, reverse=True)


def _parse_meta(page: bytes, slot: int) -> Meta | None:
    if len(page) < os.sysconf("SC_PAGESIZE"):
        return None
    flags = _PAGE.unpack_from(page)[2]
    magic, version, _, _, free, main, last, number = _META.unpack_from(page, _PAGE.size)
    if not flags & _IS_META or (magic, version) != (_MAGIC, _VERSION):
        return None
    roots = _TREE.unpack(free)[-1], _TREE.unpack(main)[-1]
    return Meta(slot, page, _TREE.unpack(free)[0] or len(page), last, number, *roots)


def check_pages(path: Path) -> None:
    """Raises `StoreDamaged` unless the newest commit's pages are whole."""
    metas = read_metas(path)
    if not metas:
        raise StoreDamaged("neither meta page is one")
    with path.open("rb") as file:
        _Pages(file.fileno(), metas[0]).check()


class _Pages:
    def __init__(self, file: int, meta: Meta) -> None:
        self._file, self._meta = file, meta
        self._used = bytearray(meta.last_page + 1)

    def check(self) -> None:
        for values in self._leaves(self._meta.free_root, 0):
            self._free(values)
        for _ in self._leaves(self._meta.main_root, 0):
            pass

    def _free(self, value: bytes) -> None:
        """A list of free pages: how many, and their numbers."""
        count, *numbers = struct.unpack(f"<{len(value) // 8}Q", value[: len(value) // 8 * 8])
        if count > len(numbers):
            raise StoreDamaged("a list of free pages is cut off")
        for number in numbers[:count]:
            self._claim(number, 1)

    def _leaves(self, root: int, depth: int) -> Iterator[bytes]:
        """Values of a tree's leaves, those of its subtrees left out."""
        if root == _NONE:
            return
        if depth > _MAX_DEPTH:
            raise StoreDamaged("a tree is deeper than any")
        self._claim(root, 1)
        page = self._read(root, 1)
        _, _, flags, lower, _ = _PAGE.unpack_from(page)
        count = (lower - _PAGE.size) // 2
        if flags & (_BRANCH | _LEAF) not in (_BRANCH, _LEAF) or not 0 < count <= len(page) // 2:
            raise StoreDamaged(f"page {root} is no page of a tree")
        for at in struct.unpack_from(f"<{count}H", page, _PAGE.size):
            if flags & _BRANCH:
                yield from self._leaves(_child(page, at), depth + 1)
            else:
                yield from self._value(page, at, depth)

    def _value(self, page: bytes, at: int, depth: int) -> Iterator[bytes]:
        low, high, flags, key_size = _node(page, at)
        begin, size = at + _NODE.size + key_size, low | high << 16
        if flags & _BIG_VALUE:
            yield self._big(int.from_bytes(page[begin : begin + 8], "little"), size)
        elif begin + size > len(page):
            raise StoreDamaged("a value ends beyond its page")
        elif flags & _SUBTREE:
            yield from self._leaves(_TREE.unpack(page[begin : begin + size])[-1], depth + 1)
        else:
            yield page[begin : begin + size]

    def _big(self, number: int, size: int) -> bytes:
        count = -(-(size + _PAGE.size) // self._meta.page_bytes)
        self._claim(number, count)
        raw = self._read(number, count)
        if not _PAGE.unpack_from(raw)[2] & _OVERFLOW:
            raise StoreDamaged(f"page {number} holds no large value")
        return raw[_PAGE.size : _PAGE.size + size]

    def _claim(self, first: int, count: int) -> None:
        if not 2 <= first <= first + count - 1 <= self._meta.last_page:
            raise StoreDamaged(f"page {first} lies beyond the file's end")
        if any(self._used[first : first + count]):
            raise StoreDamaged(f"page {first} is used twice")
        self._used[first : first + count] = b"\1" * count

    def _read(self, first: int, count: int) -> bytes:
        size = self._meta.page_bytes
        raw = os.pread(self._file, count * size, first * size)
        if len(raw) < count * size:
            raise StoreDamaged(f"the file ends before page {first}")
        if _PAGE.unpack_from(raw)[0] != first:
            raise StoreDamaged(f"page {first} is another")
        return raw


def iterate_leaves(raw: mmap.mmap) -> Iterator[tuple[bytes, slice]]:
    """Keys of every leaf that lies in a file, whether it is still in use or not, and where their
    values lie. Nothing is believed: what makes no sense is passed over."""
    size = os.sysconf("SC_PAGESIZE")
    for start in range(2 * size, len(raw) - size + 1, size):
        _, _, flags, lower, _ = _PAGE.unpack_from(raw, start)
        count = (lower - _PAGE.size) // 2
        if flags & (_BRANCH | _LEAF | _OVERFLOW) == _LEAF and 0 < count <= size // 2:
            yield from _leaf_entries(raw, start, count)


def _leaf_entries(raw: mmap.mmap, start: int, count: int) -> Iterator[tuple[bytes, slice]]:
    size = os.sysconf("SC_PAGESIZE")
    page = raw[start : start + size]
    for at in struct.unpack_from(f"<{min(count, (size - _PAGE.size) // 2)}H", page, _PAGE.size):
        if not _PAGE.size <= at <= size - _NODE.size:
            continue
        low, high, flags, key_size = _NODE.unpack_from(page, at)
        begin, length = at + _NODE.size + key_size, low | high << 16
        first = start + begin
        if flags & _BIG_VALUE:
            first = int.from_bytes(page[begin : begin + 8], "little") * size + _PAGE.size
        elif begin + length > size:
            continue
        if begin <= size and first + length <= len(raw):
            yield page[at + _NODE.size : begin], slice(first, first + length)


def _node(page: bytes, at: int) -> tuple[int, int, int, int]:
    if not _PAGE.size <= at <= len(page) - _NODE.size:
        raise StoreDamaged("an entry lies beyond its page")
    low, high, flags, key_size = _NODE.unpack_from(page, at)
    return low, high, flags, key_size


def _child(page: bytes, at: int) -> int:
    low, high, top, _ = _node(page, at)
    return low | high << 16 | top << 32
