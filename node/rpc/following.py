"""Following the chain from a block that was seen: what left it since, and what came."""

from __future__ import annotations

from dataclasses import dataclass

from node.core import Node
from node.rpc.queries import LogQuery
from node.rpc.views import Json, place_logs
from node.spec.types import Header

#: A branch longer than this is not told block by block: the follower goes on at the head.
MAX_ABANDONED = 10_000


@dataclass(frozen=True)
class Step:
    """From the block seen before to ``seen``; ``is_last`` where that is the head."""

    abandoned: tuple[Header, ...]
    """Newest first."""
    adopted: tuple[Header, ...]
    """Oldest first."""
    seen: bytes
    is_last: bool


def follow(node: Node, seen: bytes, most: int) -> Step:
    """At most ``most`` of the blocks that came; ask again from ``seen`` for the rest."""
    head = node.head()
    abandoned, fork = _walk_back(node, seen)
    if fork is None:
        return Step((), (), head.hash(), True)
    adopted, parent = [], fork.hash()
    for number in range(fork.number + 1, min(fork.number + most, head.number) + 1):
        header = node.header_at(number)
        if header is None or header.parent_hash != parent:
            break  # the chain changes just now; the next step sees how
        adopted.append(header)
        parent = header.hash()
    return Step(tuple(abandoned), tuple(adopted), parent, parent == head.hash())


def _walk_back(node: Node, seen: bytes) -> tuple[list[Header], Header | None]:
    """The blocks from ``seen`` back to the canonical chain, and where they meet it."""
    abandoned: list[Header] = []
    header = node.store.header(seen)
    while header is not None and node.store.canonical_hash(header.number) != header.hash():
        abandoned.append(header)
        if len(abandoned) > MAX_ABANDONED:
            return [], None
        header = node.store.header(header.parent_hash)
    return abandoned, header


def block_logs(node: Node, header: Header, query: LogQuery, removed: bool = False) -> list[Json]:
    """The logs of a block, on any branch, that a query asks for."""
    if not query.may_match(header.bloom):
        return []
    block = node.store.block(header.hash())
    if block is None:
        return []
    receipts = node.store.receipts(header.hash())
    return [p.view(removed) for p in place_logs(block, receipts) if query.matches(p.log)]


def step_logs(node: Node, step: Step, query: LogQuery) -> list[Json]:
    """Logs that a step took away (marked removed, newest block first), then those it brought."""
    gone = [entry for h in step.abandoned for entry in block_logs(node, h, query, removed=True)]
    return gone + [entry for h in step.adopted for entry in block_logs(node, h, query)]
