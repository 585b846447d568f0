"""From the node's storage onto a device: models that are sent for, read, and made resident."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from drivers.errors import OutOfMemory
from drivers.program import Program
from drivers.worker import WorkerSession
from farmctl.agent.models import ModelFiles
from farmctl.bus import Bus
from farmctl.inference.forms import Arrived, read_model, read_symbol
from farmctl.inference.residency import Residency
from farmctl.smoothing import smooth
from node.models.eviction import Policy

#: Models that are fetched and read at once, while others are computed.
ARRIVING_LIMIT = 2


class ModelLoading:
    """Of one worker. What is ``resident`` can be run."""

    def __init__(self, folder: Path, limit_bytes: int, policy: Policy) -> None:
        self.resident = Residency(limit_bytes, policy)
        self.seconds = 1.0
        """That a model took lately to come onto the device."""
        self._files = ModelFiles(folder)
        self._arriving: dict[str, asyncio.Task[Arrived]] = {}
        self._recalls = False
        """The session may have models from earlier."""

    def begin(self, recalls: bool) -> None:
        """With a new session, which ``recalls`` what one before it left on the disk."""
        self.resident.clear()
        self._recalls = recalls

    def cancel(self) -> None:
        """Send for nothing any more."""
        for task in self._arriving.values():
            task.cancel()
        self._arriving.clear()

    def is_near(self, model: str) -> bool:
        """It is there, or it has arrived, or is known not to come: `bring` says so."""
        arriving = self._arriving.get(model)
        return model in self.resident or (arriving is not None and arriving.done())

    def send_for(self, bus: Bus, model: str, came: Callable[[], None]) -> None:
        """Have a model fetched and read, unless too many are; ``came`` is called then."""
        if model in self._arriving or len(self._arriving) >= ARRIVING_LIMIT:
            return
        task = asyncio.create_task(self._fetch(bus, model))
        task.add_done_callback(lambda _: came())
        self._arriving[model] = task

    async def bring(self, bus: Bus, session: WorkerSession, model: str) -> None:
        """Bring a model that is near onto the device. Raises what keeps it from there: `CvmError`,
        `DriverError`, or that it cannot be fetched."""
        began = time.monotonic()
        arrived = await self._arriving.pop(model)
        await self._unload(session, self.resident.make_room(arrived.parameter_bytes))
        while True:
            try:
                await self._load(bus, session, model, arrived.program)
                break
            except OutOfMemory:
                if not self.resident:
                    raise
                await self._unload(session, [self.resident.evict()])
        self.resident.add(model, arrived.graph, arrived.parameter_bytes)
        self.seconds = smooth(self.seconds, time.monotonic() - began)

    async def _fetch(self, bus: Bus, model: str) -> Arrived:
        known = await asyncio.to_thread(self._files.symbol, model) if self._recalls else None
        if known is not None:
            return await asyncio.to_thread(read_symbol, known)
        return await self._fetch_whole(bus, model)

    async def _fetch_whole(self, bus: Bus, model: str) -> Arrived:
        symbol, parameters = await self._files.get(bus, model)
        return await asyncio.to_thread(read_model, symbol, parameters)

    async def _load(
        self, bus: Bus, session: WorkerSession, model: str, program: Program | None
    ) -> None:
        if program is None:
            if await asyncio.to_thread(session.recall, model):
                return
            program = (await self._fetch_whole(bus, model)).program
        assert program is not None, "a whole model has its program"
        await asyncio.to_thread(session.load, model, program)

    async def _unload(self, session: WorkerSession, models: list[str]) -> None:
        for model in models:
            await asyncio.to_thread(session.unload, model)
