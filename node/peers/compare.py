"""Do the feeds tell of the same chain? What two agree on is harder to forge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.peers.errors import PeerError
from node.peers.feed import Feed

#: Honest nodes may differ in their last few blocks.
UNSETTLED_BLOCKS = 6
#: A feed so many blocks short of this node's chain withholds them, or follows nobody.
BEHIND_BLOCKS = 8
#: Each time; alone these never add up to a ban, since points decay.
CONTRADICTION_POINTS = 5.0
BEHIND_POINTS = 2.0

ALONE = "one feed alone: there is nothing to compare it with; configure a second"
NOBODY = "no feed answers"


@dataclass(frozen=True)
class Comparison:
    text: str
    blames: tuple[tuple[Feed, float, str], ...] = ()


async def compare(
    feeds: Sequence[Feed], canonical_hash: Callable[[int], bytes | None], height: int
) -> Comparison:
    """Ask each feed for the block at a height that all have, and hold against those that differ
    from this node's own, fully checked chain."""
    late = [f for f in feeds if f.status.number < height - BEHIND_BLOCKS]
    current = [f for f in feeds if f not in late]
    blames = [
        (feed, BEHIND_POINTS, f"it is {height - feed.status.number} blocks behind") for feed in late
    ]
    if not current:
        return Comparison("every feed is behind this node" if feeds else NOBODY, tuple(blames))
    number = max(0, min(height, *(f.status.number for f in current)) - UNSETTLED_BLOCKS)
    told = await asyncio.gather(*(_hash_at(feed, number) for feed in current))
    answers = [(f, h) for f, h in zip(current, told, strict=True) if h is not None]
    ours = canonical_hash(number)
    others = [feed for feed, found in answers if found != ours]
    reason = f"its block {number} is not that of the heaviest chain"
    blames += [(feed, CONTRADICTION_POINTS, reason) for feed in others]
    return Comparison(_describe(number, len(answers), len(others)), tuple(blames))


def _describe(number: int, answers: int, others: int) -> str:
    if others:
        return f"{others} of {answers} feeds contradict this node's chain at block {number}"
    return ALONE if answers < 2 else f"{answers} feeds agree with this node up to block {number}"


async def _hash_at(feed: Feed, number: int) -> bytes | None:
    try:
        found = await feed.headers(number, 1)
    except PeerError:
        return None  # its own connection says what is wrong
    return found[0].hash() if found and found[0].number == number else None
