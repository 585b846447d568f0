"""The mempool as others show it: by sender and nonce, what can go into a block and what waits for
an earlier nonce."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.core import Node
from node.mempool import Waiting
from node.rpc.forms import hexbytes, parse_address, quantity
from node.rpc.registry import heavy
from node.rpc.views import Json, transaction_view

Shown = Callable[[Waiting], Any]


def status(node: Node) -> Json:
    pending, queued = _split(node)
    return {"pending": quantity(len(pending)), "queued": quantity(len(queued))}


@heavy
def content(node: Node) -> Json:
    return _show(node, lambda w: transaction_view(node.chain, w.transaction, None, None))


@heavy
def content_from(node: Node, address: Any) -> Json:
    sender, everything = hexbytes(parse_address(address)), content(node)
    return {kind: by_sender.get(sender, {}) for kind, by_sender in everything.items()}


@heavy
def inspect(node: Node) -> Json:
    """A line for each."""
    return _show(node, _line)


def _show(node: Node, show: Shown) -> Json:
    pending, queued = _split(node)
    return {"pending": _group(pending, show), "queued": _group(queued, show)}


def _split(node: Node) -> tuple[list[Waiting], list[Waiting]]:
    """Those without a gap before them, and the others."""
    state = node.state_at(node.head())
    waiting = node.mempool.all()
    senders = {w.sender for w in waiting}
    ends = {sender: node.mempool.next_nonce(sender, state) for sender in senders}
    pending = [w for w in waiting if w.transaction.nonce < ends[w.sender]]
    return pending, [w for w in waiting if w.transaction.nonce >= ends[w.sender]]


def _group(waiting: list[Waiting], show: Shown) -> Json:
    found: dict[str, dict[str, Any]] = {}
    for each in waiting:
        by_nonce = found.setdefault(hexbytes(each.sender), {})
        by_nonce[str(each.transaction.nonce)] = show(each)
    return found


def _line(waiting: Waiting) -> str:
    transaction = waiting.transaction
    to = hexbytes(transaction.to) if transaction.to else "contract creation"
    price = f"{transaction.gas} gas × {transaction.gas_price} wei"
    return f"{to}: {transaction.value} wei + {price}"


METHODS = {
    "txpool_status": status,
    "txpool_content": content,
    "txpool_contentFrom": content_from,
    "txpool_inspect": inspect,
}
