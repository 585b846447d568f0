"""What this node answers to its peers, read from the store as it lies there."""

from __future__ import annotations

from collections.abc import Sequence

from node.core import Node
from node.peers.feed import MAX_HEADERS, FeedStatus
from node.peers.wire import REPLY_BYTES
from node.spec import rlp


class Library:
    """Every method reads the disk: called in threads."""

    def __init__(self, node: Node) -> None:
        self._node, self._store = node, node.store

    def status(self) -> FeedStatus:
        head = self._node.head()
        key = head.hash()
        return FeedStatus(key, head.number, self._store.total_difficulty(key) or 0)

    def headers(self, first: int, count: int) -> bytes:
        """Headers of the canonical chain in one list. Cut where the chain changes meanwhile, so
        that each follows the one before."""
        found: list[bytes] = []
        parent = b""
        for number in range(first, first + min(count, MAX_HEADERS)):
            key = self._store.canonical_hash(number)
            header = self._store.header(key) if key else None
            if key is None or header is None or (parent and header.parent_hash != parent):
                break
            parent = key
            found.append(header.encode())
        return rlp.join_list(found)

    def bodies(self, hashes: Sequence[bytes]) -> bytes:
        """The bodies of the first of these blocks, up to one that is missing or to about
        `REPLY_BYTES`."""
        found: list[bytes] = []
        size = 0
        for key in hashes:
            body = self._store.record("bodies", key)
            if body is None or size >= REPLY_BYTES:
                break
            found.append(body)
            size += len(body)
        return rlp.join_list(found)

    def transactions(self, hashes: Sequence[bytes]) -> bytes:
        """Those of them that wait here, up to about `REPLY_BYTES`."""
        found: list[bytes] = []
        size = 0
        for key in hashes:
            transaction = self._node.mempool.get(key)
            if transaction is not None and size < REPLY_BYTES:
                found.append(transaction.encode())
                size += len(found[-1])
        return rlp.join_list(found)
