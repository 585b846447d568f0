"""What a source of blocks must offer. Nothing it says is believed: see `node.peers.sync`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from node.spec.types import Block, Header, Transaction

#: Headers and bodies in one request, at most.
MAX_HEADERS = 256
MAX_BODIES = 256


@dataclass(frozen=True)
class FeedStatus:
    """The chain that a feed claims to have."""

    head_hash: bytes
    number: int
    total_difficulty: int


class Feed(Protocol):
    """All methods raise `PeerError`: `FeedUnavailable` where no answer comes in time,
    `FeedMisbehaves` where the answer has not even the right form."""

    @property
    def name(self) -> str:
        """Unique among feeds; shown to people."""

    @property
    def kind(self) -> str:
        """``farm`` or ``rpc``."""

    @property
    def status(self) -> FeedStatus:
        """As last heard."""

    async def refresh(self) -> FeedStatus:
        """Ask for the status."""

    async def headers(self, first: int, count: int) -> list[Header]:
        """Headers of its chain from number ``first`` on, ascending, at most `MAX_HEADERS`; fewer
        where it has no more."""

    async def bodies(self, headers: Sequence[Header]) -> list[Block]:
        """The blocks of the first of these headers, at least one: as many as it gives at once.
        Whether transactions and uncles are those of the header is not checked yet."""

    async def send_transactions(self, transactions: Sequence[Transaction]) -> None:
        """Offer transactions that it may not know."""

    async def close(self) -> None:
        """Let go of it."""
