"""The process ``farmctl node synapse``: the service, its engine, and where models come from."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import cast

from drivers.errors import DriverError
from farmctl.bus import Bus
from farmctl.bus_engine import BusEngine
from farmctl.config import Config
from farmctl.errors import BusError, FarmError, Unavailable
from farmctl.messages import INFER_MISMATCH, FaultEvent, RigEvent
from farmctl.nats_bus import NatsBus, connect
from farmctl.node_home import held
from farmctl.supervisor import port_answers
from farmctl.synapse.bus_storage import BusStorage
from farmctl.synapse.local_engine import LocalEngine
from node.errors import NodeError
from node.inference import CrossCheckedEngine, Inference, InferEngine, ReferenceEngine
from node.models.errors import StorageError
from node.models.eviction import Policy
from node.models.loading import GraphLoader
from node.models.storage import Storage
from node.models.storage.opening import open_storage
from node.synapse.fetching import Contents
from node.synapse.service import SynapseService

RECONNECT_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backing:
    """What the service stands on."""

    name: str
    loader: GraphLoader
    contents: Contents
    engine: InferEngine


class SynapseProcess:
    """``config.synapse.listen`` must be set. `run` returns after SIGINT or SIGTERM."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._bus: Bus | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.service: SynapseService | None = None

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Raises `FarmError` where the home is in use, the port taken or the engine missing."""
        ending = stop or asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ending.set)
        async with self._open() as backing:
            await self._serve(backing, ending)

    async def _serve(self, backing: Backing, ending: asyncio.Event) -> None:
        settings, loop = self._config.synapse, asyncio.get_running_loop()

        def report(model: str, device: str, what: str) -> None:
            loop.call_soon_threadsafe(self._report, model, device, what)

        reference = ReferenceEngine(backing.loader)
        ratio = settings.cross_check_ratio
        engine = CrossCheckedEngine(backing.engine, reference, ratio, report)
        infer = Inference(backing.loader, engine)
        try:
            service = SynapseService(
                infer, backing.contents, settings, backing.name, backing.loader.cache.counts
            )
        except NodeError as error:
            raise FarmError(str(error)) from error
        await service.start()
        self.service = service
        where = f"port {service.port}, engine {backing.name}"
        log.info("remote inference on %s", where, extra={"action": "synapse_started"})
        try:
            await ending.wait()
        finally:
            await service.stop()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Backing]:
        kind = self._config.synapse.engine
        if kind == "auto":
            kind = "farm" if await _farm_answers(self._config) else "cpu"
        opened = self._open_farm() if kind == "farm" else self._open_alone(kind)
        async with opened as backing:
            yield backing

    @asynccontextmanager
    async def _open_farm(self) -> AsyncIterator[Backing]:
        """The farm's devices compute; its node has the models."""
        engine, storage = BusEngine(self._config.node.infer_timeout_seconds), BusStorage()
        loader = self._loader(cast(Storage, storage))
        joining = asyncio.create_task(self._join(engine, storage))
        try:
            yield Backing("farm", loader, storage, engine)
        finally:
            joining.cancel()
            with suppress(asyncio.CancelledError):
                await joining

    @asynccontextmanager
    async def _open_alone(self, kind: str) -> AsyncIterator[Backing]:
        """This machine computes, without a farm around it."""
        with held(self._config.home / "node"):
            try:
                storage = open_storage(self._config.home / "models", self._config.storage)
            except StorageError as error:
                raise FarmError(str(error)) from error
            try:
                loader = self._loader(storage)
                if kind == "reference":
                    yield Backing(kind, loader, storage, ReferenceEngine(loader))
                    return
                engine = LocalEngine(loader, self._config.node.cache_bytes)
                try:
                    await asyncio.to_thread(engine.start)
                    yield Backing("cpu:0 of this machine", loader, storage, engine)
                except DriverError as error:
                    raise Unavailable(f"the processor does not compute: {error}") from error
                finally:
                    await asyncio.to_thread(engine.close)
            finally:
                storage.close()

    def _loader(self, storage: Storage) -> GraphLoader:
        node = self._config.node
        return GraphLoader(storage, node.cache_bytes, Policy(node.cache_policy))

    async def _join(self, engine: BusEngine, storage: BusStorage) -> None:
        """Connect to the bus, however long it takes; the connection then mends itself."""
        bus = await self._connect()
        try:
            engine.join(bus)
            storage.join(bus)
            self._bus = bus
            await asyncio.Event().wait()
        finally:
            await bus.close()

    async def _connect(self) -> NatsBus:
        seed = self._config.bus_seed
        while True:
            with suppress(BusError):
                key = seed if seed.exists() else None
                return await connect(self._config.bus_url, key, "synapse")
            await asyncio.sleep(RECONNECT_SECONDS)

    def _report(self, model: str, device: str, what: str) -> None:
        """Tell the farm of a device that computed wrongly."""
        log.error("%s %s: model %s", device, what, model, extra={"action": INFER_MISMATCH})
        rig, _, local = device.partition("/")
        if self._bus is None or not local:
            return
        fault = FaultEvent(
            device=local, code=INFER_MISMATCH, step="quarantine", detail=f"{what}: model {model}"
        )
        event = RigEvent(id=uuid.uuid4().hex, rig=rig, at=time.time(), body=fault)
        task = asyncio.create_task(self._append(self._bus, event))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _append(self, bus: Bus, event: RigEvent) -> None:
        try:
            await bus.append(f"event.{event.rig}", event, event.id)
        except BusError as error:
            log.warning("the fault was not told: %s", error, extra={"action": "bus_lost"})


async def _farm_answers(config: Config) -> bool:
    """Whether this home's farm is up: its bus answers."""
    if config.bus.url:
        return True
    return await port_answers(config.bus.host, config.bus.port)
