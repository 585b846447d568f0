"""What the chain holds, in its own encoding (RLP, as hex)."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.rpc.forms import hexbytes, parse_hash
from node.rpc.lookup import find_header
from node.rpc.methods.transactions import find_transaction
from node.spec.types import Block


def get_raw_block(node: Node, where: Any) -> str | None:
    """Without 0x, as other nodes of this network answer. A plain number is taken too."""
    block = _block(node, where)
    return block.encode().hex() if block else None


def get_raw_header(node: Node, where: Any) -> str | None:
    header = find_header(node, _place(where))
    return hexbytes(header.encode()) if header else None


def get_raw_receipts(node: Node, where: Any) -> list[str] | None:
    block = _block(node, where)
    if block is None:
        return None
    return [hexbytes(receipt.encode()) for receipt in node.store.receipts(block.hash())]


def get_raw_transaction(node: Node, transaction_hash: Any) -> str | None:
    found = find_transaction(node, parse_hash(transaction_hash))
    return hexbytes(found.encode()) if found else None


def _block(node: Node, where: Any) -> Block | None:
    header = find_header(node, _place(where))
    return node.store.block(header.hash()) if header else None


def _place(where: Any) -> Any:
    return hex(where) if type(where) is int and where >= 0 else where


METHODS = {
    "debug_getRawBlock": get_raw_block,
    "debug_getRawHeader": get_raw_header,
    "debug_getRawReceipts": get_raw_receipts,
    "debug_getRawTransaction": get_raw_transaction,
    "eth_getRawTransactionByHash": get_raw_transaction,
}
