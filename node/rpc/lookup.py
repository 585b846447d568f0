"""Finding the block that a request means: a tag, a number, a hash or an EIP-1898 object."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.errors import NoWork
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.forms import parse_flag, parse_hash, parse_quantity
from node.spec.state import State
from node.spec.types import Block, Header

#: Proof of work knows no finality: these tags mean a block so far below the head that a change of
#: branch is unlikely, or as good as out of the question.
DEPTHS = {"safe": 20, "finalized": 100}


def find_header(node: Node, where: Any) -> Header | None:
    """None where there is no such block; raises `InvalidParams` where it cannot be one. For
    ``pending`` it is the head, on whose state pending calls are made."""
    if isinstance(where, dict):
        return _find_eip1898(node, where)
    if where in ("latest", "pending", None):
        return node.head()
    if where == "earliest":
        return node.header_at(0)
    if isinstance(where, str) and where in DEPTHS:
        return node.header_at(max(0, node.head().number - DEPTHS[where]))
    if isinstance(where, str) and len(where) == 66:
        return node.store.header(parse_hash(where, "block"))
    return node.header_at(parse_number(where))


def parse_number(where: Any) -> int:
    """Raises `InvalidParams`."""
    number = parse_quantity(where, "block")
    if number >= 2**63:
        raise InvalidParams("block: a number below 2^63")
    return number


def _find_eip1898(node: Node, where: dict[str, Any]) -> Header | None:
    if ("blockNumber" in where) == ("blockHash" in where):
        raise InvalidParams("block: give either blockNumber or blockHash")
    if "blockNumber" in where:
        return node.header_at(parse_number(where["blockNumber"]))
    header = node.store.header(parse_hash(where["blockHash"], "blockHash"))
    must_be_canonical = parse_flag(where.get("requireCanonical", False), "requireCanonical")
    if header and must_be_canonical and node.header_at(header.number) != header:
        raise InvalidParams("the block is not on the canonical chain")
    return header


def need_header(node: Node, where: Any) -> Header:
    """Raises `ResourceNotFound` where there is no such block."""
    header = find_header(node, where)
    if header is None:
        raise ResourceNotFound(f"no block {str(where)[:80]}")
    return header


def find_block(node: Node, where: Any) -> Block | None:
    """For ``pending`` the block that miners work on; its seal is all zeros."""
    if where == "pending":
        return pending_block(node)
    header = find_header(node, where)
    return node.store.block(header.hash()) if header else None


def pending_block(node: Node) -> Block | None:
    """None while none is built on the head."""
    try:
        block = node.desk.current().block
    except NoWork:
        return None
    if block.header.parent_hash != node.head().hash():
        return None
    return block


def block_by_hash(node: Node, block_hash: Any) -> Block | None:
    return node.store.block(parse_hash(block_hash, "blockHash"))


def state_at(node: Node, where: Any) -> State:
    """A throw-away state: changes to it go nowhere."""
    return node.state_at(need_header(node, where))
