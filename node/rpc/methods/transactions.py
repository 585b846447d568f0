"""Transactions: sending them, and what became of them."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.errors import TransactionRefused
from node.rpc.errors import InvalidParams, ServerError
from node.rpc.forms import hexbytes, parse_bytes, parse_hash, parse_quantity
from node.rpc.lookup import block_by_hash, find_block
from node.rpc.views import Json, receipt_view, transaction_view
from node.spec.rlp import RlpError
from node.spec.types import Block, Transaction


def send_raw_transaction(node: Node, raw: Any) -> str:
    data = parse_bytes(raw, name="transaction")
    if data[:1] in (b"\x01", b"\x02", b"\x03", b"\x04"):
        raise InvalidParams("only legacy transactions exist on this chain; set gasPrice")
    try:
        transaction = Transaction.decode(data)
    except RlpError as error:
        raise InvalidParams(f"not a transaction: {error}") from error
    try:
        node.send(transaction)
    except TransactionRefused as error:
        raise ServerError(str(error), {"reason": error.reason}) from error
    return hexbytes(transaction.hash())


def get_transaction_by_hash(node: Node, transaction_hash: Any) -> Json | None:
    key = parse_hash(transaction_hash)
    pending = node.mempool.get(key)
    if pending is not None:
        return transaction_view(node.chain, pending, None, None)
    found = _find(node, key)
    return _show(node, *found) if found else None


def get_by_block_number(node: Node, where: Any, index: Any) -> Json | None:
    is_sealed = where != "pending"
    return _show(node, find_block(node, where), parse_quantity(index, "index"), is_sealed)


def get_by_block_hash(node: Node, block_hash: Any, index: Any) -> Json | None:
    return _show(node, block_by_hash(node, block_hash), parse_quantity(index, "index"))


def get_transaction_receipt(node: Node, transaction_hash: Any) -> Json | None:
    found = _find(node, parse_hash(transaction_hash))
    if found is None:
        return None
    block, index = found
    return receipt_view(node.chain, block, node.store.receipts(block.hash()), index)


def find_transaction(node: Node, key: bytes) -> Transaction | None:
    """In a block, or waiting for one."""
    found = _find(node, key)
    return found[0].transactions[found[1]] if found else node.mempool.get(key)


def _find(node: Node, key: bytes) -> tuple[Block, int] | None:
    where = node.store.location(key)
    block = node.store.block(where.block_hash) if where else None
    return (block, where.index) if where and block else None


def _show(node: Node, block: Block | None, index: int, is_sealed: bool = True) -> Json | None:
    if block is None or index >= len(block.transactions):
        return None
    header = block.header if is_sealed else None
    return transaction_view(node.chain, block.transactions[index], header, index)


METHODS = {
    "eth_sendRawTransaction": send_raw_transaction,
    "eth_getTransactionByHash": get_transaction_by_hash,
    "eth_getTransactionByBlockNumberAndIndex": get_by_block_number,
    "eth_getTransactionByBlockHashAndIndex": get_by_block_hash,
    "eth_getTransactionReceipt": get_transaction_receipt,
}
