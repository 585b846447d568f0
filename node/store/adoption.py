"""Beginning a chain in its middle: blocks and a state that were not executed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.spec.types import Block, Header, Receipt
from node.store.environment import Records
from node.store.records import (
    Location,
    encode_body,
    encode_calls,
    encode_number,
    encode_receipts,
    encode_sums,
)


@dataclass(frozen=True)
class Beginning:
    """Where a chain begins here. The state under the last block's root must be in the store."""

    headers: Sequence[Header]
    """Of the blocks before the first of ``blocks``, ascending, that are looked back at."""
    blocks: Sequence[tuple[Block, tuple[Receipt, ...]]]
    """Ascending; the last is the head."""
    total_difficulty: int
    """Of the head."""
    call_totals: Mapping[bytes, int]
    """INFER calls up to the head, by the model's infohash."""
    metas: Sequence[bytes]
    """Addresses of model and input accounts."""


def write_beginning(records: Records, beginning: Beginning) -> None:
    """All in one transaction: without it the store is as empty as before."""
    head = beginning.blocks[-1][0]
    for header in beginning.headers:
        _put_header(records, header)
    total = beginning.total_difficulty
    for block, receipts in reversed(beginning.blocks):
        _put_block(records, block, receipts, total)
        total -= block.header.difficulty
    for model, calls in beginning.call_totals.items():
        records.put("call_totals", model, calls.to_bytes(8, "big"))
    for address in beginning.metas:
        records.put("metas", address, head.hash())
    records.put("meta", b"oldest_state", encode_number(head.header.number))
    records.put("meta", b"head", head.hash())


def _put_header(records: Records, header: Header) -> None:
    records.put("headers", header.hash(), header.encode())
    records.put("heights", encode_number(header.number) + header.hash(), b"")


def _put_block(records: Records, block: Block, receipts: tuple[Receipt, ...], total: int) -> None:
    key = block.hash()
    _put_header(records, block.header)
    parts = encode_body(block), encode_receipts(receipts), encode_calls({})
    for table, part in zip(("bodies", "receipts", "calls"), parts, strict=True):
        records.put(table, key, part)
    records.put("sums", key, encode_sums(*parts))
    records.put("difficulties", key, total.to_bytes(32, "big"))
    records.put("canonical", encode_number(block.header.number), key)
    for index, transaction in enumerate(block.transactions):
        records.put("locations", transaction.hash(), Location(key, index).encode())
