"""A running service in a thread of its own, so that tests speak to it as a node does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from node.inference import Inference, InferEngine, ReferenceEngine
from node.models.loading import GraphLoader
from node.models.storage import Source
from node.models.storage.combined import CombinedStorage
from node.models.storage.directory import DirectoryStorage
from node.synapse.service import SynapseService
from node.synapse.settings import SynapseSettings

SETTINGS = SynapseSettings(listen="127.0.0.1:0")


class Running:
    """The service, its storage and its loop."""

    def __init__(self, service: SynapseService, storage: CombinedStorage, plain: Inference) -> None:
        self.service, self.storage, self.plain = service, storage, plain
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def port(self) -> int:
        return self.service.port

    def count(self, line: str) -> float:
        """The value of a metric's line, by its beginning; 0 where there is none."""
        text = self.service.figures.render().decode()
        found = [row for row in text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.service.stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.service.start())
        self._ready.set()
        self.loop.run_forever()


@contextmanager
def running(
    root: Path,
    settings: SynapseSettings = SETTINGS,
    engine: Callable[[GraphLoader], InferEngine] = ReferenceEngine,
    sources: tuple[Source, ...] = (),
    **changes: object,
) -> Iterator[Running]:
    storage = CombinedStorage(DirectoryStorage(root), sources, wait_seconds=0.1)
    loader = GraphLoader(storage)
    plain = Inference(loader, engine(loader))
    wide = GraphLoader(storage, extended=True)
    extended = Inference(wide, engine(wide))
    settings = replace(settings, **changes)  # type: ignore[arg-type]
    service = SynapseService(
        lambda form: extended if form else plain,
        *(storage, settings, "a test's", loader.cache.counts),
    )
    began = Running(service, storage, plain)
    try:
        yield began
    finally:
        began.stop()
        plain.close()
        extended.close()
        storage.close()


def until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
