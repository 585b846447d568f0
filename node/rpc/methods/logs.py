"""Queries for logs. A bound that is reached is an error: no answer is silently cut off."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.rpc.errors import InvalidParams, ResourceNotFound, ServerError
from node.rpc.following import block_logs
from node.rpc.forms import parse_hash, parse_quantity
from node.rpc.lookup import need_header
from node.rpc.queries import LogQuery, parse_query
from node.rpc.registry import heavy
from node.rpc.views import Json


@heavy
def get_logs(node: Node, query: Any) -> list[Json]:
    wanted = parse_query(query)
    if query.get("blockHash") is not None:
        if query.get("fromBlock") or query.get("toBlock"):
            raise InvalidParams("give blockHash, or fromBlock and toBlock")
        header = node.store.header(parse_hash(query["blockHash"], "blockHash"))
        if header is None:
            raise ResourceNotFound("unknown block")
        return block_logs(node, header, wanted)
    first = need_header(node, query.get("fromBlock")).number
    return logs_between(node, wanted, first, last_block(node, query.get("toBlock")))


def logs_between(node: Node, query: LogQuery, first: int, last: int) -> list[Json]:
    """Of the canonical chain. Raises `ServerError` over the bounds."""
    bounds = node.rpc
    if last - first >= bounds.max_log_blocks:
        raise ServerError(f"block range too large: a query spans {bounds.max_log_blocks} blocks")
    found: list[Json] = []
    for number in range(first, last + 1):
        header = node.header_at(number)
        if header is None and number < node.head().number:
            raise ResourceNotFound(f"block {number} is not kept here; this node began later")
        if header is not None:
            found += block_logs(node, header, query)
        if len(found) > bounds.max_logs:
            raise ServerError(f"query returned more than {bounds.max_logs} results; narrow it")
    return found


def last_block(node: Node, where: Any) -> int:
    """A number may lie beyond the head: then it is the head."""
    if isinstance(where, str) and where.startswith("0x"):
        return min(parse_quantity(where, "toBlock"), node.head().number)
    return need_header(node, where).number


METHODS = {"eth_getLogs": get_logs}
