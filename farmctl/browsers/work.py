"""What a lent browser does under its assignment: mines, rests, or answers checks alone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.base import Capability, CuckooSolution
from drivers.errors import BadArgument, DriverError
from farmctl.browsers.lent import LentBrowser
from farmctl.bus import Bus
from farmctl.domain import Workload
from farmctl.errors import BadWork
from farmctl.messages import AssignmentMessage, Work
from farmctl.mining.nonces import Stretch
from farmctl.mining.shares import Shares
from farmctl.mining.speed import Speed
from farmctl.mining.task import Task, read_work

log = logging.getLogger(__name__)
#: Larger graphs take a browser's memory and its owner's patience.
MAX_EDGE_BITS = 20
#: A search is as long as this, so that the browser never waits for the next one for long.
SEARCH_SECONDS = 5.0
WAITING_SOLUTIONS = 64
SHOWN_LIMIT = 300
NEEDS = {Workload.MINE: Capability.CUCKOO, Workload.INFER: Capability.INFER}


@dataclass
class Offer:
    """The node's newest work; those who wait for other work are woken."""

    work: Work | None = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, work: Work) -> None:
        async with self.changed:
            if work != self.work:
                self.work = work
                self.changed.notify_all()

    async def other_than(self, work: Work | None) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.work is not work)


def find_obstacle(browser: LentBrowser, assignment: AssignmentMessage) -> str:
    """Why the browser cannot do what a plan says; empty where it can."""
    if assignment.workload is Workload.IDLE:
        return ""
    capability = NEEDS.get(assignment.workload)
    if capability is None:
        return f"a browser cannot {assignment.workload}; choose mine, infer or idle"
    if not browser.proved(capability):
        return f"it has not passed its known-answer test for {capability}"
    return ""


class Mining:
    """Searches the offered work, until cancelled."""

    def __init__(self, browser: LentBrowser, bus: Bus, offer: Offer, shares: Shares) -> None:
        self._browser, self._bus, self._offer, self._shares = browser, bus, offer, shares
        self._speed = Speed()
        self._batch = 8
        self._last = time.monotonic()
        self._found: asyncio.Queue[tuple[Task, CuckooSolution]] = asyncio.Queue(WAITING_SOLUTIONS)
        self.detail = "waits for work"

    def rates(self) -> Mapping[str, float]:
        return {"graphs_per_second": self._speed.graphs_per_second()}

    async def run(self) -> None:
        """Raises `DriverError` where the browser breaks or computes wrongly."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._settle())
                tasks.create_task(self._mine())
        except* DriverError as errors:
            raise errors.exceptions[0] from None

    async def _settle(self) -> None:
        while True:
            task, solution = await self._found.get()
            await self._shares.take(self._bus, task, solution)

    async def _mine(self) -> None:
        while True:
            work = self._offer.work
            task = self._read(work)
            if task is None:
                await self._browser.rest()
                await self._offer.other_than(work)
            else:
                await self._search_until_changed(task)

    def _read(self, work: Work | None) -> Task | None:
        """What can be searched of it; `detail` says why nothing can."""
        if work is None or not work.available:
            self.detail = "waits for work" if work is None else work.detail
            return None
        if work.edge_bits > MAX_EDGE_BITS:
            most = f"browsers search graphs of at most {MAX_EDGE_BITS}"
            self.detail = f"the chain's graphs have {work.edge_bits} edge bits; {most}"
            return None
        try:
            task = read_work(work)
        except (BadWork, BadArgument) as error:
            self.detail = str(error)[:SHOWN_LIMIT]
            return None
        self.detail = f"searches {work.chain} at height {work.height}"
        return task

    async def _search_until_changed(self, task: Task) -> None:
        searching = asyncio.create_task(self._search(task))
        changed = asyncio.create_task(self._offer.other_than(task.work))
        try:
            await asyncio.wait((searching, changed), return_when=asyncio.FIRST_COMPLETED)
            if searching.done():
                searching.result()
        finally:
            searching.cancel()
            changed.cancel()
            await asyncio.gather(searching, changed, return_exceptions=True)

    async def _search(self, task: Task) -> None:
        def keep(solution: CuckooSolution) -> None:
            if self._found.full():
                raise BadArgument("cycles faster than they can be verified")
            self._found.put_nowait((task, solution))

        stretch = Stretch()
        while True:
            first, graphs = stretch.take(self._batch)
            self._last = time.monotonic()
            await self._browser.search(task.job, first, graphs, keep, self._measure)
            stretch.advance(graphs)

    def _measure(self, graphs: int) -> None:
        now = time.monotonic()
        if graphs:
            self._speed.add(graphs, now - self._last)
            each = max((now - self._last) / graphs, 1e-3)
            self._batch = max(1, min(4 * self._batch, int(SEARCH_SECONDS / each)))
        self._last = now
