"""Merkle proofs for those who have the headers alone (EIP-1186 with Cortex's six fields)."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from node.core import Node
from node.rpc.errors import InvalidParams
from node.rpc.forms import hexbytes, parse_address, parse_hash, parse_quantity, quantity
from node.rpc.lookup import need_header
from node.rpc.views import Json
from node.spec.proof import prove_item
from node.spec.state import State
from node.spec.types import Account

MAX_SLOTS = 1024
MAX_HEADERS = 512


def get_proof(node: Node, address: Any, slots: Any, where: Any = "latest") -> Json:
    """An account, some of its slots, and the nodes that show them under the state root."""
    if not isinstance(slots, list) or len(slots) > MAX_SLOTS:
        raise InvalidParams(f"the slots are a list of at most {MAX_SLOTS}")
    wanted = parse_address(address)
    numbers = [parse_quantity(slot, "slot") for slot in slots]
    state = node.state_at(need_header(node, where))
    account = state.account(wanted) or Account()
    return {
        "address": hexbytes(wanted),
        "balance": quantity(account.balance),
        "nonce": quantity(account.nonce),
        "storageHash": hexbytes(account.storage_root),
        "codeHash": hexbytes(account.code_hash),
        "upload": quantity(account.upload),
        "num": quantity(account.num),
        "accountProof": [hexbytes(n) for n in state.prove_account(wanted)],
        "storageProof": [_prove_slot(state, wanted, slot) for slot in numbers],
    }


def _prove_slot(state: State, address: bytes, slot: int) -> Json:
    return {
        "key": quantity(slot),
        "value": quantity(state.get_storage(address, slot)),
        "proof": [hexbytes(n) for n in state.prove_storage(address, slot)],
    }


def get_transaction_proof(node: Node, transaction_hash: Any) -> Json | None:
    """The place of a transaction, and the nodes that show it and its receipt under the roots of
    its block's header; None where it is in no block."""
    where = node.store.location(parse_hash(transaction_hash))
    block = node.store.block(where.block_hash) if where else None
    if where is None or block is None:
        return None
    transactions = [t.encode() for t in block.transactions]
    receipts = [r.encode() for r in node.store.receipts(where.block_hash)]
    return {
        "blockHash": hexbytes(where.block_hash),
        "blockNumber": quantity(block.header.number),
        "transactionIndex": quantity(where.index),
        "transactionProof": [hexbytes(n) for n in prove_item(transactions, where.index)],
        "receiptProof": [hexbytes(n) for n in prove_item(receipts, where.index)],
    }


def get_raw_headers(node: Node, first: Any, count: Any) -> list[str]:
    """Headers from a number on, RLP, at most `MAX_HEADERS` and up to the head: for who follows the
    chain by its headers."""
    start, wanted = parse_quantity(first, "first"), parse_quantity(count, "count")
    last = min(start + min(wanted, MAX_HEADERS), node.head().number + 1)
    found = (node.header_at(number) for number in range(start, last))
    return [hexbytes(header.encode()) for header in takewhile(bool, found) if header]


METHODS = {
    "eth_getProof": get_proof,
    "ctxc_getTransactionProof": get_transaction_proof,
    "debug_getRawHeaders": get_raw_headers,
}
