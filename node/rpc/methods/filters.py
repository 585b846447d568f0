"""Filters: what a client asks for again and again, and is told once."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.filters import Filter, FilterKind
from node.rpc.following import Step, follow, step_logs
from node.rpc.forms import hexbytes, parse_quantity, quantity
from node.rpc.lookup import need_header
from node.rpc.methods.logs import logs_between
from node.rpc.queries import parse_query
from node.rpc.registry import heavy
from node.rpc.views import Json

#: Blocks that one answer brings at most; the next answer goes on from there.
STEP_BLOCKS = 1000
TAGS = (None, "latest", "pending")


def new_filter(node: Node, query: Any) -> str:
    wanted = parse_query(query)
    if query.get("blockHash") is not None:
        raise InvalidParams("a filter has no blockHash; use eth_getLogs")
    first, last = query.get("fromBlock"), query.get("toBlock")
    return _open(
        node,
        Filter(
            FilterKind.LOGS,
            node.head().hash(),
            query=wanted,
            first_block=node.head().number if first in TAGS else _first(node, first),
            last_block=None if last in TAGS else parse_quantity(last, "toBlock"),
        ),
    )


def new_block_filter(node: Node) -> str:
    return _open(node, Filter(FilterKind.BLOCKS, node.head().hash()))


def new_pending_filter(node: Node) -> str:
    return _open(node, Filter(FilterKind.PENDING, arrival=node.mempool.arrivals))


@heavy
def get_filter_changes(node: Node, ident: Any) -> list[Any]:
    """What is new since the last time: hashes, or logs. A log whose block left the chain comes
    again, marked as removed."""
    found = _filter(node, ident)
    with found.lock:
        if found.kind is FilterKind.PENDING:
            found.arrival, transactions = node.mempool.since(found.arrival)
            return [hexbytes(t.hash()) for t in transactions]
        step = follow(node, found.seen, STEP_BLOCKS)
        changes = _changes(node, found, step)
        found.seen = step.seen
        return changes


@heavy
def get_filter_logs(node: Node, ident: Any) -> list[Json]:
    """Every log that the filter's query matches now."""
    found = _filter(node, ident)
    if found.kind is not FilterKind.LOGS:
        raise InvalidParams("this filter is not one of logs")
    head = node.head().number
    last = head if found.last_block is None else min(found.last_block, head)
    return logs_between(node, found.query, found.first_block, last)


def uninstall_filter(node: Node, ident: Any) -> bool:
    return node.filters.close(parse_quantity(ident, "filter id"))


def _changes(node: Node, found: Filter, step: Step) -> list[Any]:
    if found.kind is FilterKind.BLOCKS:
        return [hexbytes(header.hash()) for header in step.adopted]
    spanned = Step(
        tuple(h for h in step.abandoned if found.spans(h.number)),
        tuple(h for h in step.adopted if found.spans(h.number)),
        step.seen,
        step.is_last,
    )
    return list(step_logs(node, spanned, found.query))


def _first(node: Node, where: Any) -> int:
    """A number may lie beyond the head: the filter waits for it."""
    if isinstance(where, str) and where.startswith("0x"):
        return parse_quantity(where, "fromBlock")
    return need_header(node, where).number


def _open(node: Node, new: Filter) -> str:
    return quantity(node.filters.open(new))


def _filter(node: Node, ident: Any) -> Filter:
    found = node.filters.get(parse_quantity(ident, "filter id"))
    if found is None:
        raise ResourceNotFound("filter not found")
    return found


METHODS = {
    "eth_newFilter": new_filter,
    "eth_newBlockFilter": new_block_filter,
    "eth_newPendingTransactionFilter": new_pending_filter,
    "eth_getFilterChanges": get_filter_changes,
    "eth_getFilterLogs": get_filter_logs,
    "eth_uninstallFilter": uninstall_filter,
}
