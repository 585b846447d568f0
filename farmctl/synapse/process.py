"""The process ``farmctl node synapse``: the service over what backs it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from farmctl.bus import Bus
from farmctl.config import Config
from farmctl.errors import BusError, FarmError
from farmctl.inference.mismatch import tell_mismatch
from farmctl.synapse.backing import Backing, open_backing
from farmctl.synapse.messages import SynapseFigures, SynapseStatus
from node.errors import NodeError
from node.inference import CrossCheckedEngine, Inference, ReferenceEngine
from node.models.cache import CacheCounts
from node.models.eviction import Policy
from node.models.loading import GraphLoader
from node.synapse.service import SynapseService
from node.synapse.settings import split_endpoint

STATUS_SECONDS = 1.0
NAMES = tuple(SynapseFigures.model_fields)

log = logging.getLogger(__name__)


Report = Callable[[str, str, str], None]
"""Of a model, a device and what was wrong; called from threads."""


class Forms:
    """The inference for each form of models, made when it is first needed: those of CortexTheseus
    have the official one alone. ``report`` hears of a device that computed wrongly."""

    def __init__(self, config: Config, backing: Backing, report: Report) -> None:
        self._config, self._backing, self._report = config, backing, report
        self._made: dict[bool, tuple[GraphLoader, Inference]] = {False: self._make(False)}

    def __call__(self, extended: bool) -> Inference:
        if extended not in self._made:
            self._made[extended] = self._make(extended)
        return self._made[extended][1]

    def counts(self) -> CacheCounts:
        """Of loaded models."""
        first, *more = [loader.cache.counts() for loader, _ in self._made.values()]
        for each in more:
            used, entries = first.used_bytes + each.used_bytes, first.entries + each.entries
            first = replace(first, used_bytes=used, entries=entries)
        return first

    def distrust(self, device: str) -> None:
        """From any thread."""
        for _, inference in list(self._made.values()):
            inference.distrust(device)

    def close(self) -> None:
        """Returns when what runs has ended."""
        for _, inference in self._made.values():
            inference.close()

    def _make(self, extended: bool) -> tuple[GraphLoader, Inference]:
        node, settings = self._config.node, self._config.synapse
        policy = Policy(node.cache_policy)
        loader = GraphLoader(self._backing.storage, node.cache_bytes, policy, extended=extended)
        engine = CrossCheckedEngine(
            self._backing.make(loader),
            ReferenceEngine(loader),
            settings.cross_check_ratio,
            self._report,
            self._backing.farm,
            node.class_check_ratio if self._backing.farm else 0.0,
        )
        return loader, Inference(loader, engine, settings.cache_bytes)


class SynapseProcess:
    """``config.synapse.listen`` must be set. `run` returns after SIGINT or SIGTERM."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._telling: set[asyncio.Task[None]] = set()
        self.service: SynapseService | None = None

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Raises `FarmError` where the home is in use, the port taken or the engine missing."""
        ending = stop or asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ending.set)
        async with open_backing(self._config) as backing:
            await self._serve(backing, ending)

    async def _serve(self, backing: Backing, ending: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()

        def report(model: str, device: str, what: str) -> None:
            if backing.farm is not None:
                backing.farm.board.bar(device)
            loop.call_soon_threadsafe(self._report, backing.bus(), model, device, what)
            forms.distrust(device)

        forms = Forms(self._config, backing, report)
        if backing.farm is not None:
            backing.farm.on_wrong = forms.distrust
        try:
            service = self._make_service(forms, backing)
            await service.start()
            if self._config.synapse.follow:
                service.follow(self._config.home / "synapse.json")
            self.service = service
            where = f"port {service.port}, computed by {backing.name}"
            log.info("remote inference on %s", where, extra={"action": "synapse_started"})
            telling = asyncio.create_task(self._tell(service, backing))
            try:
                await ending.wait()
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
                await service.stop()
        finally:
            await asyncio.to_thread(forms.close)

    def _make_service(self, forms: Forms, backing: Backing) -> SynapseService:
        try:
            return SynapseService(
                forms, backing.contents, self._config.synapse, backing.name, forms.counts
            )
        except NodeError as error:
            raise FarmError(str(error)) from error

    async def _tell(self, service: SynapseService, backing: Backing) -> None:
        """Publish how the service does, each second, for ever."""
        listen = f"{split_endpoint(self._config.synapse.listen)[0]}:{service.port}"
        while True:
            bus = backing.bus()
            if bus is not None:
                known = {"listen": listen, **service.describe()}
                status = SynapseStatus.model_validate({n: known.get(n) for n in NAMES})
                with suppress(BusError):
                    await bus.publish("synapse.status", status)
            await asyncio.sleep(STATUS_SECONDS)

    def _report(self, bus: Bus | None, model: str, device: str, what: str) -> None:
        """Tell the farm of a device that computed wrongly."""
        task = asyncio.create_task(tell_mismatch(bus, model, device, what))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
