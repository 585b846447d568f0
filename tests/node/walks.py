"""Looking at a whole state independently of what is tested."""

from __future__ import annotations

from node.core import Node
from node.spec.types import Header
from node.store import ChainStore
from node.store.walk import Walk


def count_nodes(store: ChainStore, root: bytes) -> int:
    """Distinct nodes and code of a state; raises `StoreDamaged` where one is missing."""
    seen: set[bytes] = set()

    def claim(key: bytes) -> bool:
        is_new = key not in seen
        seen.add(key)
        return is_new

    walk = Walk()
    walk.begin(root)
    for _ in walk.nodes(store.get, claim, 1 << 62):
        pass
    return len(seen)


def headers_from(node: Node, number: int) -> list[Header]:
    """Headers of every branch from a height on."""
    keys = [key for key, _ in node.store.records("heights")]
    headers = (node.store.header(key[8:]) for key in keys)
    return [h for h in headers if h is not None and h.number >= number]
