"""Is a chain's database whole? ``python -m node.store.check FOLDER`` reads all of it.

A process of its own, because reading a torn database may end the process that does it. It prints
what is wrong and exits with 1, or exits with 0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from node.errors import StoreError
from node.spec.crypto import EMPTY_ROOT, keccak
from node.spec.rlp import RlpError
from node.spec.types import Header
from node.store.environment import Environment, Records
from node.store.pages import check_pages
from node.store.records import decode_header, encode_number, encode_sums
from node.store.tables import TABLES
from node.store.walk import Walk

#: In a larger store the roots of the states are looked up, not every node below that of the head.
WALKED_NODES = 2_000_000


class Damage(Exception):
    """The database is not whole."""


def check(folder: Path) -> None:
    """Raises `Damage` or `StoreError`."""
    check_pages(folder / "data.mdb")
    env = Environment(folder, TABLES, read_only=True)
    env.read(_check_all)
    env.close()


def _check_all(records: Records) -> None:
    for table in TABLES:
        _check_table(records, table)
    if records.get("meta", b"head") is not None:
        _check_canonical(records)
        _check_states(records)


def _check_table(records: Records, table: str) -> None:
    judge = _JUDGES.get(table)
    previous, count = None, 0
    for key, value in records.scan(table):
        if previous is not None and key <= previous:
            raise Damage(f"{table}: keys out of order")
        if judge is not None and not judge(records, key, value):
            raise Damage(f"{table}: the entry {key.hex()} is not what was written")
        previous, count = key, count + 1
    if count != records.count(table):
        raise Damage(f"{table}: {count} entries where {records.count(table)} were written")


def _is_hash(records: Records, key: bytes, value: bytes) -> bool:
    return keccak(value) == key


def _is_sum(records: Records, key: bytes, value: bytes) -> bool:
    parts = (records.get(table, key) or b"" for table in ("bodies", "receipts", "calls"))
    return value == encode_sums(*parts)


def _is_difficulty(records: Records, key: bytes, value: bytes) -> bool:
    header = decode_header(_need(records, "headers", key))
    before = records.get("difficulties", header.parent_hash)
    total = int.from_bytes(value, "big")
    return before is None or total == int.from_bytes(before, "big") + header.difficulty


def _is_location(records: Records, key: bytes, value: bytes) -> bool:
    return len(value) == 36 and records.get("headers", value[:32]) is not None


_JUDGES: dict[str, Callable[[Records, bytes, bytes], bool]] = {
    "nodes": _is_hash,
    "headers": _is_hash,
    "pending": _is_hash,
    "sums": _is_sum,
    "difficulties": _is_difficulty,
    "locations": _is_location,
}


def _check_canonical(records: Records) -> None:
    """One block a height from the first that is kept to the head, each the parent of the next."""
    head = _need(records, "meta", b"head")
    parent, number = None, 0
    for key, block_hash in records.scan("canonical"):
        header = decode_header(_need(records, "headers", block_hash))
        _need(records, "difficulties", block_hash)
        if encode_number(header.number) != key:
            raise Damage(f"canonical: block {header.number} in another's place")
        follows = header.number == number + 1
        if parent is not None and follows and header.parent_hash != parent:
            raise Damage(f"canonical: block {header.number} does not follow its parent")
        parent, number = block_hash, header.number
    if parent != head:
        raise Damage("canonical: the head is not the last block")


def _check_states(records: Records) -> None:
    oldest = records.get("meta", b"oldest_state") or encode_number(0)
    for key in records.scan_keys("heights", oldest):
        root = decode_header(_need(records, "headers", key[8:])).state_root
        if root != EMPTY_ROOT:
            _need(records, "nodes", root)
    if records.count("nodes") <= WALKED_NODES:
        _walk(records, decode_header(_need(records, "headers", _need(records, "meta", b"head"))))


def _walk(records: Records, head: Header) -> None:
    seen: set[bytes] = set()

    def claim(key: bytes) -> bool:
        size = len(seen)
        seen.add(key)
        return len(seen) > size

    walk = Walk()
    walk.begin(head.state_root)
    for _ in walk.nodes(lambda key: records.get("nodes", key), claim, WALKED_NODES):
        pass


def _need(records: Records, table: str, key: bytes) -> bytes:
    found = records.get(table, key)
    if found is None:
        raise Damage(f"{table}: the entry {key.hex()} is missing")
    return found


def main() -> int:
    try:
        check(Path(sys.argv[1]))
    except (Damage, StoreError, RlpError, ValueError, LookupError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
