"""The node's storage of models and inputs, read over the farm's bus.

What the node does not have it fetches when it is asked for it (`[storage]` says from whom).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from farmctl.bus import Bus
from farmctl.errors import BusError, NotFound
from farmctl.model_transfer import FileName, ask, fetch
from node.models.content import CONTENT_BYTES_LIMIT, prove
from node.models.errors import MalformedModel, ModelCorrupt, ModelNotFound, StorageError
from node.models.storage import DATA, PARAMETERS, SYMBOL

DISCONNECTED = "the message bus is not connected"
#: The node is asked for a content that it has to fetch until so long,
PATIENCE_SECONDS = 60.0
#: with such a pause between.
PAUSE_SECONDS = 0.5
#: A file comes within this time, or does not.
FETCH_SECONDS = 600.0
MAX_REMEMBERED = 100_000

T = TypeVar("T")


class BusStorage:
    """The reading half of a `node.models.storage.Storage`, and `node.synapse.fetching.Contents`.
    Methods are called from threads, `contains` and `request` from anywhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._bus: Bus | None = None
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def join(self, bus: Bus) -> None:
        """From now on ask over this bus, which is the loop's."""
        self._bus = bus

    def read(self, infohash: bytes, file: str) -> bytes:
        if file == DATA:
            return self._proved(infohash, [DATA])[DATA]
        return self._proved(infohash, [SYMBOL, PARAMETERS])[file]

    def read_model(self, infohash: bytes) -> tuple[bytes, bytes]:
        files = self._proved(infohash, [SYMBOL, PARAMETERS])
        return files[SYMBOL], files[PARAMETERS]

    def contains(self, infohash: bytes) -> bool:
        """Whether the node has said so; it is asked again where a reading fails."""
        return infohash in self._known

    def request(self, infohash: bytes, limit_bytes: int = CONTENT_BYTES_LIMIT) -> Future[None]:
        return self._submit(self._await_content(infohash))

    def _proved(self, infohash: bytes, names: list[FileName]) -> dict[str, bytes]:
        try:
            found = {name: self._await_file(infohash, name) for name in names}
            files = {str(name): content for name, content in found.items()}
            prove(infohash, files)
        except MalformedModel as error:
            raise ModelCorrupt(str(error)) from error
        except StorageError:
            self._known.pop(infohash, None)
            raise
        return files

    def _await_file(self, infohash: bytes, name: FileName) -> bytes:
        fetching = self._submit(self._fetch(infohash, name))
        try:
            return fetching.result(FETCH_SECONDS)
        except TimeoutError as error:
            fetching.cancel()
            raise ModelNotFound(f"{infohash.hex()} did not come in {FETCH_SECONDS:g} s") from error

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _await_content(self, infohash: bytes) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            reason = await self._look(infohash)
            if not reason:
                self._remember(infohash)
                return
            if time.monotonic() > deadline:
                raise ModelNotFound(reason)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self, infohash: bytes) -> str:
        """Why it cannot be had now; empty where it can."""
        if self._bus is None:
            return DISCONNECTED
        try:
            replies = [await ask(self._bus, infohash.hex(), name) for name in (SYMBOL, DATA)]
        except BusError as error:
            return f"the farm's node does not answer: {error}"
        if any(reply.found for reply in replies):
            return ""
        return f"the node has no {infohash.hex()}: {replies[0].detail}"

    async def _fetch(self, infohash: bytes, name: FileName) -> bytes:
        if self._bus is None:
            raise ModelNotFound(DISCONNECTED)
        try:
            content = await fetch(self._bus, infohash.hex(), name)
        except NotFound as error:
            raise ModelNotFound(str(error)) from error
        except BusError as error:
            raise ModelNotFound(f"the farm's node does not answer: {error}") from error
        self._remember(infohash)
        return content

    def _remember(self, infohash: bytes) -> None:
        self._known[infohash] = None
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
