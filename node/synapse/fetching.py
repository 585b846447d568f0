"""Contents that a request needs are waited for without holding a thread."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from node.models.content import CONTENT_BYTES_LIMIT
from node.models.errors import StorageError
from node.synapse.figures import Figures

#: After a failure the content is not asked for again so long.
RETRY_SECONDS = 5.0
#: A single wait; the fetch itself goes on.
PATIENCE_SECONDS = 120.0
MAX_REMEMBERED = 10_000


class Contents(Protocol):
    """Models and inputs, by infohash."""

    def contains(self, infohash: bytes) -> bool: ...

    def request(self, infohash: bytes, limit_bytes: int = CONTENT_BYTES_LIMIT) -> Future[None]:
        """Have it fetched; ends when it is here, or with a `StorageError`."""
        ...


class ContentMissing(Exception):
    """It is not here, and could not be fetched; the text says why."""


class Fetcher:
    def __init__(
        self, contents: Contents, figures: Figures, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._contents = contents
        self._figures = figures
        self._clock = clock
        self._failed: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def holds(self, infohash: bytes) -> bool:
        return self._contents.contains(infohash)

    async def ensure(self, infohash: bytes, limit_bytes: int = CONTENT_BYTES_LIMIT) -> None:
        """Return when it is here. Raises `ContentMissing`."""
        if self._contents.contains(infohash):
            return
        until, reason = self._failed.get(infohash, (0.0, ""))
        if self._clock() < until:
            raise ContentMissing(reason)
        try:
            await self._fetch(infohash, limit_bytes)
        except StorageError as error:
            self._figures.count_fetched("failed")
            if limit_bytes >= CONTENT_BYTES_LIMIT:  # with room enough it may yet come
                self._remember(infohash, str(error))
            raise ContentMissing(str(error)) from error
        self._figures.count_fetched("ok")

    async def _fetch(self, infohash: bytes, limit_bytes: int) -> None:
        done = asyncio.wrap_future(self._contents.request(infohash, limit_bytes))
        # Others may wait for the same: it must not be cancelled from here.
        await asyncio.wait([done], timeout=PATIENCE_SECONDS)
        if not done.done():
            raise StorageError(f"{infohash.hex()} is still being fetched")
        done.result()

    def _remember(self, infohash: bytes, reason: str) -> None:
        self._failed[infohash] = self._clock() + RETRY_SECONDS, reason
        self._failed.move_to_end(infohash)
        if len(self._failed) > MAX_REMEMBERED:
            self._failed.popitem(last=False)
