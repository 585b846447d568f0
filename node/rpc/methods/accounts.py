"""Accounts: balance, nonce, code, storage, and Cortex's upload fields."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.rpc.forms import hexbytes, parse_address, parse_quantity, quantity
from node.rpc.lookup import state_at


def get_balance(node: Node, address: Any, where: Any = "latest") -> str:
    return quantity(state_at(node, where).get_balance(parse_address(address)))


def get_transaction_count(node: Node, address: Any, where: Any = "latest") -> str:
    sender = parse_address(address)
    state = state_at(node, where)
    if where == "pending":
        return quantity(node.mempool.next_nonce(sender, state))
    return quantity(state.get_nonce(sender))


def get_code(node: Node, address: Any, where: Any = "latest") -> str:
    return hexbytes(state_at(node, where).get_code(parse_address(address)))


def get_storage_at(node: Node, address: Any, slot: Any, where: Any = "latest") -> str:
    value = state_at(node, where).get_storage(parse_address(address), parse_quantity(slot, "slot"))
    return hexbytes(value.to_bytes(32, "big"))


def get_upload(node: Node, address: Any, where: Any = "latest") -> str:
    """Bytes of a model or input that upload transactions still have to bring."""
    return quantity(state_at(node, where).get_upload(parse_address(address)))


METHODS = {
    "eth_getBalance": get_balance,
    "eth_getTransactionCount": get_transaction_count,
    "eth_getCode": get_code,
    "eth_getStorageAt": get_storage_at,
    "ctxc_getUpload": get_upload,
}
