"""Beginning a chain in its middle: blocks and a state that were not executed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.spec.types import Block, Header, Receipt
from node.store.blocks import link_block, put_block, put_header
from node.store.environment import Records
from node.store.records import Executed, encode_number


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
        put_header(records, header)
    total = beginning.total_difficulty
    for block, receipts in reversed(beginning.blocks):
        put_block(records, Executed(block, receipts, total))
        link_block(records, block)
        total -= block.header.difficulty
    for model, calls in beginning.call_totals.items():
        records.put("call_totals", model, encode_number(calls))
    for address in beginning.metas:
        records.put("metas", address, head.hash())
    records.put("meta", b"oldest_state", encode_number(head.header.number))
    records.put("meta", b"head", head.hash())
