"""Headers of a feed, each judged on the one before it: linkage, difficulty, time, proof of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.peers.errors import FeedMisbehaves, FeedUnsettled
from node.spec.chain import Chain
from node.spec.errors import InvalidHeader
from node.spec.header import SealVerifier, verify_header
from node.spec.transition import transactions_root
from node.spec.types import Block, Header, uncles_hash


class Branch:
    """Grows from a block that the node has. ``total_difficulty`` is that of its tip."""

    def __init__(
        self,
        chain: Chain,
        root: Header,
        total_difficulty: int,
        verify_seal: SealVerifier,
        clock: Callable[[], float],
    ) -> None:
        self.tip, self.total_difficulty = root, total_difficulty
        self._chain, self._verify_seal, self._clock = chain, verify_seal, clock

    def extend(self, headers: Sequence[Header]) -> list[Header]:
        """Take valid headers and return them, up to the first whose time has not come. Raises
        `FeedUnsettled` where they do not follow the tip (the feed's chain has changed), and
        `FeedMisbehaves` where one is invalid."""
        if headers and headers[0].parent_hash != self.tip.hash():
            raise FeedUnsettled("its chain changed while it was read")
        latest = int(self._clock()) + self._chain.max_future_seconds
        taken: list[Header] = []
        for header in headers:
            if header.timestamp > latest:
                break
            try:
                verify_header(self._chain, header, self.tip, None, self._verify_seal)
            except InvalidHeader as error:
                raise FeedMisbehaves(f"an invalid header: {error}") from error
            self.tip = header
            self.total_difficulty += header.difficulty
            taken.append(header)
        return taken


def check_bodies(blocks: Sequence[Block]) -> None:
    """Raise `FeedMisbehaves` unless transactions and uncles are those that each header names."""
    for block in blocks:
        header = block.header
        if (
            transactions_root(block.transactions) != header.transactions_root
            or uncles_hash(block.uncles) != header.uncles_hash
        ):
            raise FeedMisbehaves(f"the body of block {header.number} is not its header's")
