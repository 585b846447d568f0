"""Logs and filters. Filters are bounded in number and forgotten after five idle minutes."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.rpc.errors import InvalidParams, ResourceNotFound, ServerError
from node.rpc.filters import Filter, FilterKind, LogQuery
from node.rpc.forms import hexbytes, parse_address, parse_hash, parse_quantity, quantity
from node.rpc.lookup import block_by_hash, need_header
from node.rpc.views import Json, place_logs
from node.spec.types import Block

MAX_BLOCKS = 10_000
MAX_LOGS = 10_000
MAX_ALTERNATIVES = 256


def get_logs(node: Node, query: Any) -> list[Json]:
    wanted = parse_query(query)
    if "blockHash" in query:
        block = block_by_hash(node, query["blockHash"])
        if block is None:
            raise ResourceNotFound("no such block")
        return _matching(node, block, wanted)
    first = need_header(node, query.get("fromBlock", "latest")).number
    last = _last(node, query.get("toBlock", "latest"))
    return logs_between(node, wanted, first, last)


def new_filter(node: Node, query: Any) -> str:
    first = node.head().number + 1
    if isinstance(query, dict) and query.get("fromBlock") not in (None, "latest", "pending"):
        first = need_header(node, query["fromBlock"]).number
    return _open(node, Filter(FilterKind.LOGS, first, parse_query(query)))


def new_block_filter(node: Node) -> str:
    return _open(node, Filter(FilterKind.BLOCKS, node.head().number + 1))


def get_filter_changes(node: Node, ident: Any) -> list[Any]:
    found = _filter(node, ident)
    first, last = found.next_block, node.head().number
    found.next_block = last + 1
    if found.kind is FilterKind.BLOCKS:
        headers = [node.header_at(n) for n in range(first, last + 1)]
        return [hexbytes(h.hash()) for h in headers if h]
    return logs_between(node, found.query, first, last)


def get_filter_logs(node: Node, ident: Any) -> list[Json]:
    found = _filter(node, ident)
    if found.kind is not FilterKind.LOGS:
        raise InvalidParams("this filter is not one of logs")
    return logs_between(node, found.query, found.first_block, node.head().number)


def uninstall_filter(node: Node, ident: Any) -> bool:
    return node.filters.close(parse_quantity(ident, "filter id"))


def logs_between(node: Node, query: LogQuery, first: int, last: int) -> list[Json]:
    """Raises `ServerError` over the bounds, so that no answer is silently cut off."""
    if last - first >= MAX_BLOCKS:
        raise ServerError(f"a query spans at most {MAX_BLOCKS} blocks")
    found: list[Json] = []
    for number in range(first, last + 1):
        header = node.header_at(number)
        if header is None or not query.may_match(header.bloom):
            continue
        block = node.store.block(header.hash())
        if block is not None:
            found += _matching(node, block, query)
        if len(found) > MAX_LOGS:
            raise ServerError(f"more than {MAX_LOGS} logs; narrow the query")
    return found


def parse_query(query: Any) -> LogQuery:
    if not isinstance(query, dict):
        raise InvalidParams("a log query is an object")
    addresses = query.get("address") or []
    listed = addresses if isinstance(addresses, list) else [addresses]
    topics = query.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4 or len(listed) > MAX_ALTERNATIVES:
        raise InvalidParams("topics: a list of at most 4")
    return LogQuery(frozenset(parse_address(a) for a in listed), tuple(_topic(t) for t in topics))


def _topic(topic: Any) -> frozenset[bytes]:
    if topic is None:
        return frozenset()
    listed = topic if isinstance(topic, list) else [topic]
    if len(listed) > MAX_ALTERNATIVES:
        raise InvalidParams(f"at most {MAX_ALTERNATIVES} alternatives a topic")
    return frozenset(parse_hash(t, "topic") for t in listed if t is not None)


def _last(node: Node, where: Any) -> int:
    if isinstance(where, str) and where.startswith("0x"):
        return min(parse_quantity(where, "toBlock"), node.head().number)
    return need_header(node, where).number


def _matching(node: Node, block: Block, query: LogQuery) -> list[Json]:
    receipts = node.store.receipts(block.hash())
    return [p.view() for p in place_logs(block, receipts) if query.matches(p.log)]


def _open(node: Node, new: Filter) -> str:
    return quantity(node.filters.open(new))


def _filter(node: Node, ident: Any) -> Filter:
    found = node.filters.get(parse_quantity(ident, "filter id"))
    if found is None:
        raise ResourceNotFound("filter not found")
    return found


METHODS = {
    "eth_getLogs": get_logs,
    "eth_newFilter": new_filter,
    "eth_newBlockFilter": new_block_filter,
    "eth_getFilterChanges": get_filter_changes,
    "eth_getFilterLogs": get_filter_logs,
    "eth_uninstallFilter": uninstall_filter,
}
