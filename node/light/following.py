"""Following the heaviest chain of headers that any feed can show."""

from __future__ import annotations

from collections.abc import Callable

from node.light.errors import FeedLies, FeedLost, FeedUseless, LightError
from node.light.feed import Feed
from node.light.feeds import Feeds, Standing
from node.light.headers import HeaderChain
from node.spec.chain import Chain
from node.spec.errors import InvalidHeader, Reason
from node.spec.types import Header

#: Of one feed in one round, so that others have their turn.
HEADERS_AT_ONCE = 5000
#: Steps back double; this many reach beyond any chain.
MAX_STEPS = 64


class Follower:
    """``on_head`` is called after the head has changed."""

    def __init__(
        self,
        chain: Chain,
        headers: HeaderChain,
        feeds: Feeds,
        on_head: Callable[[Header], None] = lambda header: None,
    ) -> None:
        self._chain, self._headers, self._feeds = chain, headers, feeds
        self._on_head = on_head
        self._greeted: set[str] = set()
        self.highest = 0
        """Number of the highest block that a feed claims which shows headers towards it."""

    def follow(self) -> bool:
        """One round over all feeds; whether there is more to fetch at once."""
        has_more, self.highest = False, 0
        before = self._headers.head
        for standing in self._feeds.usable():
            try:
                has_more |= self._follow(standing)
            except LightError as error:
                self._feeds.note_failure(standing, error)
            else:
                self._feeds.note_good(standing)
        self._compare()
        if self._headers.head.hash() != before.hash():
            self._on_head(self._headers.head)
        return has_more

    def _follow(self, standing: Standing) -> bool:
        feed = standing.feed
        self._greet(feed)
        told = feed.head()
        if self._headers.header(told.block_hash) is not None:
            standing.head, standing.head_hash = told.number, told.block_hash
            return False
        fork = self._find_fork(feed, told.number)
        shown = self._fetch(feed, fork + 1, told.number)
        standing.head, standing.head_hash = shown, self._headers.hash_at(shown)
        if shown == fork:
            raise FeedUseless(f"{feed.name} claims block {told.number} and shows no header of it")
        self.highest = max(self.highest, told.number)
        return shown < told.number

    def _fetch(self, feed: Feed, first: int, last: int) -> int:
        """Take headers from ``first`` on, as many as a round may; the number of the last one."""
        shown = first - 1
        while shown < min(last, first - 1 + HEADERS_AT_ONCE):
            headers = feed.headers(shown + 1, last - shown)
            if not headers:
                break
            self._take(feed, headers)
            shown += len(headers)
        return shown

    def _greet(self, feed: Feed) -> None:
        if feed.url in self._greeted:
            return
        if feed.chain_id() != self._chain.chain_id:
            raise FeedLies(f"it is of chain {feed.chain_id()}, not {self._chain.chain_id}")
        self._greeted.add(feed.url)

    def _find_fork(self, feed: Feed, highest: int) -> int:
        """The number of a block that both have. Raises `FeedLies` where there is none."""
        oldest = self._headers.oldest()
        number, step = min(highest, self._headers.head.number), 1
        for _ in range(MAX_STEPS):
            if number < oldest:
                break
            ours = self._headers.hash_at(number)
            if ours is not None and feed.hash_at(number) == ours:
                return number
            if number == oldest:
                break
            number, step = max(oldest, number - step), step * 2
        raise FeedLies(f"its chain shares no block with ours from {oldest} on")

    def _take(self, feed: Feed, headers: list[Header]) -> None:
        try:
            self._headers.add(headers)
        except InvalidHeader as error:
            if error.reason is Reason.TIME_IN_FUTURE:
                raise FeedLost(f"{feed.name} is ahead of this machine's clock: {error}") from error
            if error.reason is Reason.UNKNOWN_PARENT:
                raise FeedLost(f"{feed.name}: its chain changed while it was read") from error
            raise FeedLies(f"an invalid header: {error}") from error

    def _compare(self) -> None:
        """Who is behind the best chain that could be checked."""
        head = self._headers.head.number
        for standing in self._feeds.standings:
            standing.is_behind = standing.head is not None and standing.head < head
        self.highest = max(self.highest, head)

    def comparison(self) -> str:
        """In words, whether the feeds agree."""
        standings = self._feeds.standings
        good = [s for s in self._feeds.usable() if s.head is not None]
        if not standings:
            return "no feeds: add the http address of a full node to [[peers]]"
        if len(good) == 1 and len(standings) == 1:
            return "one feed alone: nothing to compare it with"
        lagging = sum(s.is_behind for s in good)
        return f"{len(good) - lagging} of {len(standings)} feeds are at the head"
