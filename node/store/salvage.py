"""Blocks out of a database that is too damaged to be opened.

Every page of the file is looked at by itself, whether a tree still leads to it or not: a header
is one if its key is its hash, a body if it is what its header commits to. What is found is only
as good as the import that follows: it executes every block again.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.errors import StoreDamaged
from node.spec import rlp
from node.spec.block import verify_body
from node.spec.crypto import keccak
from node.spec.errors import InvalidBlock
from node.spec.types import Block, Header
from node.store.pages import iterate_leaves
from node.store.records import join_block

HASH_BYTES = 32
#: Shortest encoding that a header can have.
HEADER_BYTES = 400


@dataclass(frozen=True)
class _Found:
    """A header, and where it lies."""

    number: int
    parent: bytes
    difficulty: int
    header: slice


def salvage(path: Path, genesis: bytes) -> Iterator[Block]:
    """The blocks of the heaviest chain in the file that begins on ``genesis``, ascending, up to
    the first that is lost. Memory grows by some hundred bytes a block. Raises `StoreDamaged`
    where there is none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        found = _find_headers(raw)
        bodies = _find_bodies(raw, found)
        line = _heaviest(found, bodies, genesis)
        if not line:
            raise StoreDamaged(f"no block after genesis can be proved from {path}")
        for key in line:
            yield join_block(raw[found[key].header], raw[bodies[key]])


def _entries(raw: mmap.mmap) -> Iterator[tuple[bytes, slice]]:
    return ((key, where) for key, where in iterate_leaves(raw) if len(key) == HASH_BYTES)


def _find_headers(raw: mmap.mmap) -> dict[bytes, _Found]:
    found: dict[bytes, _Found] = {}
    for key, where in _entries(raw):
        if key in found or where.stop - where.start < HEADER_BYTES or keccak(raw[where]) != key:
            continue
        try:
            header = Header.decode(raw[where])
        except rlp.RlpError:
            continue  # a state node or a code
        parts = header.number, header.parent_hash, header.difficulty
        found[key] = _Found(*parts, where)
    return found


def _find_bodies(raw: mmap.mmap, headers: dict[bytes, _Found]) -> dict[bytes, slice]:
    found: dict[bytes, slice] = {}
    for key, where in _entries(raw):
        if key in headers and key not in found and _is_body(raw[headers[key].header], raw[where]):
            found[key] = where
    return found


def _is_body(header: bytes, body: bytes) -> bool:
    try:
        verify_body(join_block(header, body))
    except (rlp.RlpError, InvalidBlock):
        return False
    return True


def _heaviest(
    headers: dict[bytes, _Found], bodies: dict[bytes, slice], genesis: bytes
) -> list[bytes]:
    totals = {genesis: 0}
    for key in sorted(bodies, key=lambda key: headers[key].number):
        found = headers[key]
        if found.parent in totals and key != genesis:
            totals[key] = totals[found.parent] + found.difficulty
    line, key = [], max(totals, key=lambda key: totals[key])
    while key != genesis:
        line.append(key)
        key = headers[key].parent
    return line[::-1]
