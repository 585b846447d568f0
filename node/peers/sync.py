"""Following a feed's chain: headers first, then bodies, then the import of both.

Only a chain of more work than the node's is followed, and that it has more is shown by its headers
before any body is fetched. What is held of a branch meanwhile is one hash a block.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

from node.core import Node
from node.errors import NodeError
from node.importing import Imported, is_fault
from node.peers.ahead import ahead
from node.peers.branch import Branch, check_bodies
from node.peers.errors import FeedMisbehaves, FeedUnsettled, FeedUseless
from node.peers.feed import MAX_BODIES, MAX_HEADERS, Feed, FeedStatus
from node.spec.errors import InvalidBlock
from node.spec.header import SealVerifier
from node.spec.types import Block, Header

Import = Callable[[Sequence[Block]], Awaitable[Imported]]

#: A branch that is still lighter after so many headers, or so long, is not followed.
MAX_BRANCH = 1 << 20
PROVE_SECONDS = 120.0
#: After this long another feed has its turn.
TURN_SECONDS = 60.0
BATCHES_AHEAD = 2


class Follower:
    """Brings the node to a feed's chain."""

    def __init__(
        self,
        node: Node,
        import_blocks: Import,
        verify_seal: SealVerifier,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._node, self._store = node, node.store
        self._import, self._verify_seal, self._clock = import_blocks, verify_seal, clock

    def own_work(self) -> int:
        """Total difficulty of the node's chain."""
        return self._store.total_difficulty(self._node.head().hash()) or 0

    def height(self) -> int:
        return self._node.head().number

    def canonical_hash(self, number: int) -> bytes | None:
        return self._store.canonical_hash(number)

    async def follow(self, feed: Feed, target: FeedStatus) -> int:
        """Import what the feed has up to ``target``, as long as its turn lasts; return how many
        blocks came. Raises `PeerError`, or `StoreError` and whatever else is no fault of the
        feed's. What was imported stays."""
        until = time.monotonic() + TURN_SECONDS
        count = 0
        try:
            async with aclosing(ahead(self._batches(feed, target), BATCHES_AHEAD)) as batches:
                async for batch in batches:
                    count += await self._take(batch)
                    if time.monotonic() > until:
                        break
        except FeedUseless:
            if (await feed.refresh()).head_hash != target.head_hash:
                raise FeedUnsettled("its chain changed while it was read") from None
            raise
        return count

    async def _take(self, batch: list[Block]) -> int:
        imported = await self._import(batch)
        if is_fault(imported.failure):
            raise FeedMisbehaves(f"an invalid block: {imported.failure}")
        if isinstance(imported.failure, InvalidBlock):
            raise NodeError(f"a heavier chain cannot be followed: {imported.failure}")
        if imported.failure is not None:
            raise imported.failure
        return len(imported.outcomes)

    async def find_ancestor(self, feed: Feed, highest: int) -> Header:
        """The newest block of the feed's chain, up to number ``highest``, that the node has:
        steps back that double, then bisection. Raises `PeerError`."""
        known = await self._shared(feed, highest)
        unknown, step = highest, 1
        while known is None:
            if unknown == 0:
                raise FeedMisbehaves("its chain begins with another genesis")
            number = max(0, unknown - step)
            known = await self._shared(feed, number)
            if known is None:
                unknown, step = number, step * 2
        while unknown - known.number > 1:
            middle = (known.number + unknown) // 2
            shared = await self._shared(feed, middle)
            if shared is None:
                unknown = middle
            else:
                known = shared
        return known

    async def _shared(self, feed: Feed, number: int) -> Header | None:
        found = await feed.headers(number, 1)
        if not found or found[0].number != number:
            raise FeedUseless(f"it gives no header {number}")
        return await asyncio.to_thread(self._store.header, found[0].hash())

    async def _batches(self, feed: Feed, target: FeedStatus) -> AsyncIterator[list[Block]]:
        """Blocks with the bodies that their headers name, ascending, once their work is shown."""
        root = await self.find_ancestor(feed, min(target.number, self._node.head().number))
        total = self._store.total_difficulty(root.hash()) or 0
        branch = Branch(self._node.chain, root, total, self._verify_seal, self._clock)
        hashes, window = await self._outweigh(feed, branch, target)
        if not hashes:
            return
        async for headers in self._again(feed, root.number + 1, hashes, window):
            async for blocks in self._fill(feed, headers):
                yield blocks
        while branch.tip.number < target.number:
            headers = await self._extend(feed, branch, target)
            if not headers:
                return
            async for blocks in self._fill(feed, headers):
                yield blocks
        self._check_claim(branch, target)

    async def _outweigh(
        self, feed: Feed, branch: Branch, target: FeedStatus
    ) -> tuple[list[bytes], list[Header]]:
        """Read headers until they outweigh the node's chain: the hashes of all of them, and the
        last ones themselves; none where they do not any more. Raises `PeerError` where they never
        did."""
        ours, until = self.own_work(), time.monotonic() + PROVE_SECONDS
        hashes: list[bytes] = []
        window: list[Header] = []
        while branch.total_difficulty <= ours:
            if branch.tip.number >= target.number:
                self._check_claim(branch, target)
                return [], []  # as heavy as it said, and the node's own has grown meanwhile
            window = await self._extend(feed, branch, target)
            if not window:
                raise FeedUnsettled("its chain is ahead of this machine's clock")
            hashes += [h.hash() for h in window]
            if len(hashes) > MAX_BRANCH or time.monotonic() > until:
                raise FeedUseless(f"no more work shown after {len(hashes)} headers")
        return hashes, window

    async def _extend(self, feed: Feed, branch: Branch, target: FeedStatus) -> list[Header]:
        first = branch.tip.number + 1
        found = await feed.headers(first, min(MAX_HEADERS, target.number - first + 1))
        if not found:
            raise FeedUseless(f"it withholds header {first}, and claims to have {target.number}")
        return await asyncio.to_thread(branch.extend, found)

    def _check_claim(self, branch: Branch, target: FeedStatus) -> None:
        """Raise where the whole branch is lighter than was claimed."""
        if branch.total_difficulty >= target.total_difficulty:
            return
        claim = f"it claims a total difficulty of {target.total_difficulty} at {target.number}"
        if branch.tip.hash() == target.head_hash:
            raise FeedMisbehaves(f"{claim}; its headers add up to {branch.total_difficulty}")
        raise FeedUseless(f"{claim}, and shows another chain")

    async def _again(
        self, feed: Feed, first: int, hashes: list[bytes], window: list[Header]
    ) -> AsyncIterator[list[Header]]:
        """The headers of these hashes, read a second time but for those still at hand."""
        held = len(hashes) - len(window)
        for start in range(0, held, MAX_HEADERS):
            wanted = hashes[start : min(start + MAX_HEADERS, held)]
            found = await feed.headers(first + start, len(wanted))
            if [h.hash() for h in found] != wanted:
                raise FeedUnsettled("its chain changed while it was read")
            yield found
        yield window

    async def _fill(self, feed: Feed, headers: list[Header]) -> AsyncIterator[list[Block]]:
        while headers:
            blocks = await feed.bodies(headers[:MAX_BODIES])
            await asyncio.to_thread(check_bodies, blocks)
            yield blocks
            headers = headers[len(blocks) :]
