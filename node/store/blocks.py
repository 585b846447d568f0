"""A block's way into the tables, within one transaction."""

from __future__ import annotations

from collections.abc import Mapping

from node.errors import StatePruned, StoreError
from node.spec.types import Block, Header
from node.store.environment import Records
from node.store.records import (
    Executed,
    Location,
    decode_calls,
    decode_header,
    decode_number,
    encode_body,
    encode_calls,
    encode_number,
    encode_receipts,
    encode_sums,
    is_notice,
    join_block,
    notice_key,
)


def read_block(records: Records, block_hash: bytes) -> Block | None:
    header = records.get("headers", block_hash)
    body = records.get("bodies", block_hash)
    return None if header is None or body is None else join_block(header, body)


def fill_heights(records: Records) -> None:
    """Of a database that was written before there was this table."""
    for key, raw in records.scan("headers"):
        records.put("heights", encode_number(decode_header(raw).number) + key, b"")


def add_nodes(records: Records, nodes: Mapping[bytes, bytes]) -> None:
    """Also those that are there already: a pruner may be about to delete them."""
    is_pruning = records.get("meta", b"pruning") is not None
    for key, node in nodes.items():
        records.put("nodes", key, node)
        if is_pruning:
            records.put("young", key, b"")


def _check_parent(records: Records, header: Header) -> None:
    """Between a block's execution and its writing its parent's state may have been pruned."""
    oldest = decode_number(records.get("meta", b"oldest_state"))
    if 0 < header.number <= oldest:
        raise StatePruned(f"block {header.number}: no state below block {oldest} is kept")


def need_block(records: Records, block_hash: bytes) -> Block:
    """Raises `StoreError` where it is not there."""
    block = read_block(records, block_hash)
    if block is None:
        raise StoreError(f"block {block_hash.hex()} is missing; the database is damaged")
    return block


def add_block(records: Records, executed: Executed) -> None:
    """All of it; what is looked up by the canonical chain stays as it is."""
    header = executed.block.header
    key = header.hash()
    _check_parent(records, header)
    add_nodes(records, executed.nodes)
    if executed.metas:
        records.put("created", key, b"".join(executed.metas))
    put_block(records, executed)


def put_block(records: Records, executed: Executed) -> None:
    """The block itself and what its execution gave, but for its state."""
    key = executed.block.hash()
    put_header(records, executed.block.header)
    parts = (
        encode_body(executed.block),
        encode_receipts(executed.receipts),
        encode_calls(executed.calls),
    )
    for table, part in zip(("bodies", "receipts", "calls"), parts, strict=True):
        records.put(table, key, part)
    records.put("sums", key, encode_sums(*parts))
    records.put("difficulties", key, executed.total_difficulty.to_bytes(32, "big"))


def put_header(records: Records, header: Header) -> None:
    records.put("headers", header.hash(), header.encode())
    records.put("heights", encode_number(header.number) + header.hash(), b"")


def link_block(records: Records, block: Block) -> None:
    """Let it be canonical."""
    key = block.hash()
    records.put("canonical", encode_number(block.header.number), key)
    _count(records, key, 1)
    for address in _created(records, key):
        records.put("metas", address, key)
    for index, transaction in enumerate(block.transactions):
        records.put("locations", transaction.hash(), Location(key, index).encode())
        if is_notice(transaction):
            records.put("notices", notice_key(block, index), transaction.data)
        records.drop("pending", transaction.hash())


def unlink_block(records: Records, block: Block) -> None:
    """Let it be canonical no longer; its transactions wait again."""
    records.drop("canonical", encode_number(block.header.number))
    _count(records, block.hash(), -1)
    for address in _created(records, block.hash()):
        records.drop("metas", address)
    for index, transaction in enumerate(block.transactions):
        records.drop("locations", transaction.hash())
        if is_notice(transaction):
            records.drop("notices", notice_key(block, index))
        records.put("pending", transaction.hash(), transaction.encode())


def _created(records: Records, block_hash: bytes) -> list[bytes]:
    """Addresses of the model and input accounts that a block created."""
    joined = records.get("created", block_hash) or b""
    return [joined[i : i + 20] for i in range(0, len(joined), 20)]


def _count(records: Records, block_hash: bytes, sign: int) -> None:
    for model, calls in decode_calls(records.get("calls", block_hash)).items():
        old = decode_number(records.get("call_totals", model))
        records.put("call_totals", model, encode_number(old + sign * calls))
