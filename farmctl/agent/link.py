"""The rig's link to the bus, which may come late and may go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from farmctl.bus import Bus
from farmctl.config import Config
from farmctl.errors import BusError

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0
Connect = Callable[[], Awaitable[Bus]]


class BusLink:
    """Joins the bus in the background, however long that takes, so that a rig starts and works
    without one."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._bus: Bus | None = None
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._join())

    async def wait(self) -> Bus:
        """The bus, as soon as it was first reached."""
        await self._joined.wait()
        return self.now()

    def now(self) -> Bus:
        """The bus. Raises `BusError` while it was never reached."""
        if self._bus is None:
            raise BusError("not connected to the message bus yet; still trying")
        return self._bus

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._bus is not None:
            await self._bus.close()

    async def _join(self) -> None:
        while self._bus is None:
            try:
                self._bus = await self._connect()
            except BusError as error:
                log.info("waiting for the bus: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
        self._joined.set()


def nats_link(config: Config, name: str) -> BusLink:
    """A link to the bus that the configuration names."""
    from farmctl import nats_bus

    async def connect() -> Bus:
        seed = config.bus_seed if config.bus_seed.exists() else None
        return await nats_bus.connect(config.bus_url, seed, name, timeout_seconds=5.0)

    return BusLink(connect)
