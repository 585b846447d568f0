"""What the service stands on: a farm, or this machine alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from drivers.base import Capability
from drivers.errors import DriverError
from drivers.worker import open_session
from farmctl.bus import Bus
from farmctl.bus_engine import BusEngine
from farmctl.config import Config
from farmctl.errors import BusError, FarmError, Unavailable
from farmctl.nats_bus import NatsBus, connect
from farmctl.node_home import held
from farmctl.supervisor import is_up, port_answers
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

Make = Callable[[GraphLoader], InferEngine]
"""An engine for the models of a loader."""


@dataclass(frozen=True)
class Backing:
    name: str
    """Who computes."""
    storage: Storage
    contents: Contents
    make: Make
    bus: Callable[[], Bus | None] = lambda: None
    """The farm's, once it is connected."""
    farm: BusEngine | None = None
    """Where the farm's devices compute, whom to ask apart from each other."""


@asynccontextmanager
async def open_backing(config: Config) -> AsyncIterator[Backing]:
    """Raises `FarmError` where the home is in use or there is no engine."""
    kind = config.synapse.engine
    if kind == "farm" or await has_farm(config):
        async with _open_farm(config, "farm" if kind == "auto" else kind) as backing:
            yield backing
    else:
        with _open_alone(config, "cpu" if kind == "auto" else kind) as backing:
            yield backing


async def has_farm(config: Config) -> bool:
    """Whether this home's node is a farm's: `farmctl up` runs, even if its bus is away just now,
    or a bus is there."""
    if config.bus.url or is_up(config.home):
        return True
    return await port_answers(config.bus.host, config.bus.port)


@asynccontextmanager
async def _open_farm(config: Config, kind: str) -> AsyncIterator[Backing]:
    """The farm's node has the models; its devices compute, unless this machine shall."""
    asked = BusEngine(config.node.infer_timeout_seconds)
    storage = BusStorage(asyncio.get_running_loop())
    connected: list[Bus] = []

    async def join() -> None:
        """However long it takes; the connection then mends itself."""
        bus = await _connect(config)
        connected.append(bus)
        await asked.join(bus)
        storage.join(bus)

    def find_bus() -> Bus | None:
        return connected[0] if connected else None

    joining = asyncio.create_task(join())
    try:
        with _engines(config, kind, lambda _: asked) as (name, make):
            farm = asked if kind == "farm" else None
            yield Backing(name, cast(Storage, storage), storage, make, find_bus, farm)
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
    """This machine computes, without a farm around it. The storage has one writer: no node may run
    in the same home."""
    with (
        held(config.home / "node"),
        closing(_open_storage(config)) as storage,
        _engines(config, kind, ReferenceEngine) as (name, make),
    ):
        yield Backing(name, storage, storage, make)


@contextmanager
def _engines(config: Config, kind: str, farm: Make) -> Iterator[tuple[str, Make]]:
    """The name of who computes, and what makes engines, which end with the context."""
    with ExitStack() as made:

        def make(loader: GraphLoader) -> InferEngine:
            engine = LocalEngine(loader, config.node.cache_bytes)
            made.callback(engine.close)
            return engine

        if kind == "cpu":
            _try_processor()
            yield "cpu:0 of this machine", make
        elif kind == "reference":
            yield "the CVM's reference", ReferenceEngine
        else:
            yield "the farm's devices", farm


def _open_storage(config: Config) -> CombinedStorage:
    try:
        return open_storage(config.home / "models", config.storage)
    except StorageError as error:
        raise FarmError(str(error)) from error


def _try_processor() -> None:
    """Raises `Unavailable` where it cannot be opened at all."""
    try:
        open_session("cpu", "cpu:0", Capability.INFER).close()
    except DriverError as error:
        raise Unavailable(f"the processor does not compute: {error}") from error
