"""What the service stands on: a farm, or this machine alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from drivers.errors import DriverError
from farmctl.bus import Bus
from farmctl.bus_engine import BusEngine
from farmctl.config import Config
from farmctl.errors import BusError, FarmError, Unavailable
from farmctl.nats_bus import NatsBus, connect
from farmctl.node_home import held
from farmctl.supervisor import port_answers
from farmctl.synapse.bus_storage import BusStorage
from farmctl.synapse.local_engine import LocalEngine
from node.inference import InferEngine, ReferenceEngine
from node.models.errors import StorageError
from node.models.loading import GraphLoader
from node.models.storage import Storage
from node.models.storage.combined import CombinedStorage
from node.models.storage.opening import open_storage
from node.synapse.fetching import Contents

RECONNECT_SECONDS = 1.0


@dataclass(frozen=True)
class Backing:
    name: str
    """Who computes."""
    storage: Storage
    contents: Contents
    make: Callable[[GraphLoader], InferEngine]
    """An engine for the models of a loader over the storage."""
    bus: Callable[[], Bus | None] = lambda: None
    """The farm's, once it is connected."""


@asynccontextmanager
async def open_backing(config: Config) -> AsyncIterator[Backing]:
    """Raises `FarmError` where the home is in use or there is no engine."""
    kind = config.synapse.engine
    if kind == "auto":
        kind = "farm" if await farm_answers(config) else "cpu"
    if kind == "farm":
        async with _open_farm(config) as backing:
            yield backing
    else:
        with _open_alone(config, kind) as backing:
            yield backing


async def farm_answers(config: Config) -> bool:
    """Whether this home's farm is up: its bus answers."""
    return bool(config.bus.url) or await port_answers(config.bus.host, config.bus.port)


@asynccontextmanager
async def _open_farm(config: Config) -> AsyncIterator[Backing]:
    """The farm's devices compute; its node has the models."""
    engine, storage = BusEngine(config.node.infer_timeout_seconds), BusStorage()
    connected: list[Bus] = []

    async def join() -> None:
        """However long it takes; the connection then mends itself."""
        bus = await _connect(config)
        connected.append(bus)
        engine.join(bus)
        storage.join(bus)

    joining = asyncio.create_task(join())
    try:
        yield Backing(
            "farm",
            cast(Storage, storage),
            storage,
            lambda _: engine,
            lambda: connected[0] if connected else None,
        )
    finally:
        joining.cancel()
        with suppress(asyncio.CancelledError):
            await joining
        for bus in connected:
            await bus.close()


async def _connect(config: Config) -> NatsBus:
    seed = config.bus_seed
    while True:
        with suppress(BusError):
            return await connect(config.bus_url, seed if seed.exists() else None, "synapse")
        await asyncio.sleep(RECONNECT_SECONDS)


@contextmanager
def _open_alone(config: Config, kind: str) -> Iterator[Backing]:
    """This machine computes, without a farm around it; no node may run in the same home."""
    with ExitStack() as open_parts:
        open_parts.enter_context(held(config.home / "node"))
        storage = _open_storage(config)
        open_parts.callback(storage.close)
        if kind == "reference":
            yield Backing("the CVM's reference", storage, storage, ReferenceEngine)
            return

        def make(loader: GraphLoader) -> InferEngine:
            engine = LocalEngine(loader, config.node.cache_bytes)
            open_parts.callback(engine.close)
            return engine

        _try(storage)
        yield Backing("cpu:0 of this machine", storage, storage, make)


def _open_storage(config: Config) -> CombinedStorage:
    try:
        return open_storage(config.home / "models", config.storage)
    except StorageError as error:
        raise FarmError(str(error)) from error


def _try(storage: Storage) -> None:
    """Raises `Unavailable` where the processor cannot be opened at all."""
    engine = LocalEngine(GraphLoader(storage), 0)
    try:
        engine.start()
    except DriverError as error:
        raise Unavailable(f"the processor does not compute: {error}") from error
    finally:
        engine.close()
