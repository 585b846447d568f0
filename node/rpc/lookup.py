"""Finding the block that a request means: a tag, a number, a hash or an EIP-1898 object."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.forms import parse_flag, parse_hash, parse_quantity
from node.spec.state import State
from node.spec.types import Block, Header


def find_header(node: Node, where: Any) -> Header | None:
    """None where there is no such block; raises `InvalidParams` where it cannot be one."""
    if isinstance(where, dict):
        return _find_eip1898(node, where)
    if where in ("latest", "pending", None):
        return node.head()
    if where == "earliest":
        return node.header_at(0)
    if where in ("safe", "finalized"):
        raise InvalidParams(f"{where}: a proof-of-work chain has no such block; use latest")
    return node.header_at(parse_quantity(where, "block"))


def _find_eip1898(node: Node, where: dict[str, Any]) -> Header | None:
    if "blockNumber" in where:
        return find_header(node, where["blockNumber"])
    header = node.store.header(parse_hash(where.get("blockHash"), "blockHash"))
    must_be_canonical = parse_flag(where.get("requireCanonical", False), "requireCanonical")
    if header and must_be_canonical and node.header_at(header.number) != header:
        raise InvalidParams("the block is not on the canonical chain")
    return header


def need_header(node: Node, where: Any) -> Header:
    """Raises `ResourceNotFound` where there is no such block."""
    header = find_header(node, where)
    if header is None:
        raise ResourceNotFound(f"no block {where}")
    return header


def find_block(node: Node, where: Any) -> Block | None:
    header = find_header(node, where)
    return node.store.block(header.hash()) if header else None


def block_by_hash(node: Node, block_hash: Any) -> Block | None:
    return node.store.block(parse_hash(block_hash, "blockHash"))


def state_at(node: Node, where: Any) -> State:
    """A throw-away state: changes to it go nowhere."""
    return node.state_at(need_header(node, where))
