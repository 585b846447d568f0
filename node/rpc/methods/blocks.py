"""Blocks and their uncles."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.rpc.forms import parse_flag, parse_quantity, quantity
from node.rpc.lookup import block_by_hash, find_block, find_header
from node.rpc.views import Json, block_view, header_view, receipt_view, transaction_view
from node.spec.types import Block

#: Of a block that is not sealed yet: what its seal would say.
UNSEALED = {"hash": None, "nonce": None, "solution": None, "miner": None, "totalDifficulty": None}


def block_number(node: Node) -> str:
    return quantity(node.head().number)


def get_block_by_number(node: Node, where: Any, full: Any = False) -> Json | None:
    whole = parse_flag(full)
    block = find_block(node, where)
    if where != "pending" or block is None:
        return _show(node, block, whole)
    shown = {**block_view(node.chain, block, None, False), **UNSEALED}
    if whole:
        views = (transaction_view(node.chain, t, None, None) for t in block.transactions)
        shown["transactions"] = list(views)
    return shown


def get_block_by_hash(node: Node, block_hash: Any, full: Any = False) -> Json | None:
    return _show(node, block_by_hash(node, block_hash), parse_flag(full))


def get_header_by_number(node: Node, where: Any) -> Json | None:
    header = find_header(node, where)
    return header_view(header, node.store.total_difficulty(header.hash())) if header else None


def get_header_by_hash(node: Node, block_hash: Any) -> Json | None:
    return get_header_by_number(node, {"blockHash": block_hash})


def count_by_number(node: Node, where: Any) -> str | None:
    return _count(find_block(node, where))


def count_by_hash(node: Node, block_hash: Any) -> str | None:
    return _count(block_by_hash(node, block_hash))


def count_uncles_by_number(node: Node, where: Any) -> str | None:
    block = find_block(node, where)
    return quantity(len(block.uncles)) if block else None


def count_uncles_by_hash(node: Node, block_hash: Any) -> str | None:
    block = block_by_hash(node, block_hash)
    return quantity(len(block.uncles)) if block else None


def get_uncle_by_number(node: Node, where: Any, index: Any) -> Json | None:
    return _uncle(find_block(node, where), parse_quantity(index, "index"))


def get_uncle_by_hash(node: Node, block_hash: Any, index: Any) -> Json | None:
    return _uncle(block_by_hash(node, block_hash), parse_quantity(index, "index"))


def get_block_receipts(node: Node, where: Any) -> list[Json] | None:
    """Of every transaction of a block, named by number, tag or hash."""
    header = find_header(node, where)
    block = node.store.block(header.hash()) if header else None
    if block is None:
        return None
    receipts = node.store.receipts(block.hash())
    return [receipt_view(node.chain, block, receipts, i) for i in range(len(receipts))]


def _show(node: Node, block: Block | None, full: bool) -> Json | None:
    if block is None:
        return None
    calls = sum(node.store.calls(block.hash()).values())
    total = node.store.total_difficulty(block.hash())
    return {**block_view(node.chain, block, total, full), "inferCalls": quantity(calls)}


def _count(block: Block | None) -> str | None:
    return quantity(len(block.transactions)) if block else None


def _uncle(block: Block | None, index: int) -> Json | None:
    if block is None or index >= len(block.uncles):
        return None
    return {**header_view(block.uncles[index], None), "uncles": [], "transactions": []}


METHODS = {
    "eth_blockNumber": block_number,
    "eth_getBlockByNumber": get_block_by_number,
    "eth_getBlockByHash": get_block_by_hash,
    "eth_getHeaderByNumber": get_header_by_number,
    "eth_getHeaderByHash": get_header_by_hash,
    "eth_getBlockTransactionCountByNumber": count_by_number,
    "eth_getBlockTransactionCountByHash": count_by_hash,
    "eth_getUncleCountByBlockNumber": count_uncles_by_number,
    "eth_getUncleCountByBlockHash": count_uncles_by_hash,
    "eth_getUncleByBlockNumberAndIndex": get_uncle_by_number,
    "eth_getUncleByBlockHashAndIndex": get_uncle_by_hash,
    "eth_getBlockReceipts": get_block_receipts,
}
