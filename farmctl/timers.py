"""Every periodic job of the controller on one page; the only importer of apscheduler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from apscheduler.events import (  # type: ignore[import-untyped]
    EVENT_JOB_ERROR,
    JobExecutionEvent,
)
from apscheduler.schedulers.asyncio import (  # type: ignore[import-untyped]
    AsyncIOScheduler,
)

from farmctl.errors import FarmError, Unavailable
from farmctl.farm import Farm
from farmctl.store import tokens

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Periodic:
    name: str
    seconds: float
    run: Callable[[], Awaitable[object]]


def periodic_jobs(farm: Farm) -> list[Periodic]:
    blocks = BlockWatch(farm)
    return [
        Periodic("replan on change", 0.2, farm.decide_if_dirty),
        Periodic("replan", 10.0, farm.decide),
        Periodic("resend plans", 5.0, farm.executor.resend),
        Periodic("show overview and devices", 1.0, lambda: show(farm)),
        Periodic("watch blocks", 0.5, blocks.look),
        Periodic("store readings", 5.0, lambda: asyncio.to_thread(farm.telemetry.flush)),
        Periodic("roll up readings", 60.0, lambda: asyncio.to_thread(farm.telemetry.roll_up)),
        Periodic("forget old records", 3600.0, lambda: asyncio.to_thread(farm.prune)),
        Periodic("forget old tokens", 3600.0, lambda: forget_tokens(farm)),
        Periodic("look for silent rigs", 10.0, lambda: call(farm.keeper.look_for_silence)),
        Periodic("give up switches", 5.0, lambda: call(farm.executor.give_up)),
        Periodic("check the audit log", 3600.0, farm.check_audit),
        Periodic("check alerts", 10.0, lambda: call(farm.alerts.check)),
    ]


async def call(step: Callable[[], object]) -> None:
    step()


async def show(farm: Farm) -> None:
    """Tell listeners the overview and every device."""
    if not farm.live.listeners:
        return
    with farm.store.begin() as tx:
        overview, devices = farm.views.overview(tx), farm.views.devices(tx)
    farm.live.tell("overview", overview)
    for device in devices:
        farm.live.tell("device", device)


async def forget_tokens(farm: Farm) -> None:
    with farm.store.begin() as tx:
        tokens.prune(tx, farm.clock())


class BlockWatch:
    """Tells each new block of the node once."""

    MOST = 20

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._height: int | None = None

    async def look(self) -> None:
        status = self._farm.node_status()
        if status is None or status.height == self._height or not self._farm.live.listeners:
            return
        first = status.height if self._height is None else self._height + 1
        first = min(max(first, status.height - self.MOST), status.height)
        for number in range(first, status.height + 1):
            try:
                block = await self._farm.node.block(number)
            except Unavailable:
                return
            if block is not None:
                self._farm.live.tell("block", self._farm.views.block(block))
        self._height = status.height


def start(farm: Farm) -> AsyncIOScheduler:
    """Run every job; one that is late is skipped, never run twice at once."""
    scheduler = AsyncIOScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1}
    )
    scheduler.add_listener(_report, EVENT_JOB_ERROR)
    for job in periodic_jobs(farm):
        scheduler.add_job(_run, "interval", [job], seconds=job.seconds, id=job.name)
    scheduler.start()
    return scheduler


async def _run(job: Periodic) -> None:
    await job.run()


def _report(event: JobExecutionEvent) -> None:
    level = logging.WARNING if isinstance(event.exception, FarmError) else logging.ERROR
    log.log(level, "periodic job %r failed: %s", event.job_id, event.exception)
