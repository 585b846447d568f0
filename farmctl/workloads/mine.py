"""Proof-of-work mining, for the farm's own node or a pool: graphs searched one after another,
until there is other work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping

from drivers.base import Capability, CuckooJob, CuckooSolution
from drivers.errors import BadArgument, DriverError, NotSupported, OutOfMemory
from drivers.worker import WorkerSession, open_session
from farmctl.agent.faults import fault_code
from farmctl.agent.sharing import mining_options
from farmctl.bus import Bus
from farmctl.errors import BadWork, BusError
from farmctl.messages import AssignmentMessage, FaultEvent, Message, Work
from farmctl.mining.nonces import Stretch
from farmctl.mining.shares import Shares
from farmctl.mining.speed import Speed
from farmctl.mining.task import Task, read_work
from farmctl.mining.tuned import find_options
from farmctl.tuning.records import Options
from farmctl.workloads.base import Place

log = logging.getLogger(__name__)
#: A search lasts about this long; solutions come while it goes on, and new work ends it.
SEARCH_SECONDS = 2.0
#: Work is asked for again after this, in case an announcement was lost.
POLL_SECONDS = 3.0
#: A search that takes so much longer than the last one has hung.
HUNG_FACTOR = 20
DEADLINE_SECONDS = (30.0, 600.0)
#: Solutions that wait to be verified and sent; the device waits when there are more.
WAITING_SOLUTIONS = 64
#: How long leaving may take for what was found before.
SETTLE_SECONDS = 15.0
OPTIONS = frozenset({"threads"})
#: Of the processors all else goes first, such as an INFER reserve beside the mining.
NICENESS = 10
#: What says that the work, not the device, is at fault: it goes on with the next work.
UNFIT = (BadWork, BadArgument, NotSupported, OutOfMemory)


class Mine:
    def __init__(
        self, place: Place, options: Mapping[str, int], shares_device: bool = False
    ) -> None:
        """``shares_device``: with an INFER reserve."""
        self._place = place
        self._options = options
        self._shares_device = shares_device
        self._tuned: Options = {}
        self._session: WorkerSession | None = None
        self._work: Work | None = None
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        """Not set while paused."""
        self._wanted.set()
        self._leaving = False
        self._searching = asyncio.Lock()
        self._found: asyncio.Queue[tuple[Task, CuckooSolution]] = asyncio.Queue(WAITING_SOLUTIONS)
        self._fault: Exception | None = None
        self._refused = ""
        self._speed = Speed()
        self._size: object = None
        self._batch = 1
        self._deadline_seconds = DEADLINE_SECONDS[1]
        self._shares = Shares(place, lambda: self._work)

    async def start(self) -> None:
        self._session = await asyncio.to_thread(self._open)

    def _open(self) -> WorkerSession:
        shared = mining_options(self._place) if self._shares_device else {}
        options = {**self._tuned, **shared, **self._options}
        family, device = self._place.family, self._place.device_id
        return open_session(family, device, Capability.CUCKOO, DEADLINE_SECONDS[1], **options)

    async def stop(self) -> None:
        self._leaving = True
        self._wanted.set()
        self._interrupt()
        async with self._searching:
            session, self._session = self._session, None
            if session is not None:
                await asyncio.to_thread(session.close)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._found.join(), SETTLE_SECONDS)

    async def pause(self) -> None:
        """Stop searching and free the device's memory. The worker process stays, where the
        family can free the memory without ending it."""
        self._wanted.clear()
        self._speed.forget()
        self._interrupt()
        async with self._searching:
            if self._session is None:
                return
            try:
                await asyncio.to_thread(self._session.release)
            except NotSupported:
                session, self._session = self._session, None
                await asyncio.to_thread(session.close)

    async def resume(self) -> None:
        async with self._searching:
            if self._session is None:
                await self.start()
        self._wanted.set()

    def rates(self) -> Mapping[str, float]:
        return {"graphs_per_second": self._speed.graphs_per_second()}

    async def run(self) -> None:
        bus = await self._place.link.wait()
        news = await bus.subscribe("node.work.new", Work, self._hear)
        helpers = [asyncio.create_task(self._poll(bus)), asyncio.create_task(self._settle(bus))]
        try:
            while not self._leaving:
                await self._mine(await self._next_work())
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._found.join(), SETTLE_SECONDS)
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await news.stop()

    async def _hear(self, _subject: str, work: Work) -> None:
        self._take(work)

    def _take(self, work: Work) -> None:
        if work != self._work:
            self._work = work
            self._changed.set()
            self._interrupt()

    def _interrupt(self) -> None:
        """End the search that runs, within a trimming round."""
        if self._session is not None and self._searching.locked():
            self._session.stop()

    async def _poll(self, bus: Bus) -> None:
        while True:
            await self._wanted.wait()
            try:
                self._take(await bus.request("node.work", Message(), Work))
            except BusError as error:
                log.info("no work from the node: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def _settle(self, bus: Bus) -> None:
        """Verify and send what was found, while the device searches on."""
        while True:
            task, solution = await self._found.get()
            try:
                await self._shares.take(bus, task, solution)
            except Exception as error:  # noqa: BLE001 - top of the loop: `_check` raises it
                self._fault = error
                self._changed.set()
                self._interrupt()
            finally:
                self._found.task_done()

    async def _next_work(self) -> Work:
        """The newest work, once it is another than before."""
        while self._work is None or not (self._changed.is_set() and self._work.available):
            self._check()
            self._changed.clear()
            await self._changed.wait()
        self._changed.clear()
        return self._work

    async def _mine(self, work: Work) -> None:
        """Search for ``work`` until there is other work."""
        try:
            task, stretch = read_work(work), Stretch()
            await self._fit(task.job)
            while self._is_current(work):
                await self._search(task, stretch)
                self._check()
                await self._wanted.wait()
            self._refused = ""
        except UNFIT as error:
            self._refuse(work, error)

    async def _fit(self, job: CuckooJob) -> None:
        """Forget what graphs of another size take, and search these as was found best."""
        size = (job.edge_bits, job.rounds, job.cycle)
        if size != self._size:
            self._size, self._batch = size, 1
            self._speed.forget()
            self._deadline_seconds = DEADLINE_SECONDS[1]
            await self._use(await asyncio.to_thread(find_options, self._place, job))

    async def _use(self, tuned: Options) -> None:
        """Open the session anew, where others of its options were found best; as the driver
        chooses, where these no longer work."""
        async with self._searching:
            if tuned == self._tuned:
                return
            self._tuned, session = tuned, self._session
            if session is None:
                return
            await asyncio.to_thread(session.close)
            try:
                await self.start()
            except DriverError as error:
                log.warning("tuned options %s do not work: %s", dict(tuned), error)
                self._tuned = {}
                await self.start()

    def _is_current(self, work: Work) -> bool:
        return self._work is work and not self._leaving

    def _check(self) -> None:
        """Raises what was found wrong with what the device found."""
        if self._fault is not None:
            raise self._fault

    async def _search(self, task: Task, stretch: Stretch) -> None:
        """Search one batch, which new work, a pause and a switch cut short."""
        loop = asyncio.get_running_loop()

        def should_stop() -> bool:
            return not (self._wanted.is_set() and self._is_current(task.work))

        def keep(solution: CuckooSolution) -> None:
            """From the thread that waits for the device."""
            asyncio.run_coroutine_threadsafe(self._found.put((task, solution)), loop).result()

        async with self._searching:
            session = self._session
            if session is None or should_stop():
                return
            session.deadline_seconds = self._deadline_seconds
            began = time.monotonic()
            first, graphs = stretch.take(self._batch)
            done, _ = await asyncio.to_thread(
                session.search, task.job, first, graphs, should_stop, keep
            )
            stretch.advance(done)
            self._measure(done, time.monotonic() - began)

    def _measure(self, graphs: int, seconds: float) -> None:
        if not graphs:
            return
        self._speed.add(graphs, seconds)
        each = max(seconds / graphs, 1e-6)
        self._batch = max(1, min(4 * self._batch, int(SEARCH_SECONDS / each)))
        least, most = DEADLINE_SECONDS
        self._deadline_seconds = min(most, max(least, HUNG_FACTOR * self._batch * each))

    def _refuse(self, work: Work, error: Exception) -> None:
        """Say, once for the same reason, that this work cannot be searched here."""
        if str(error) == self._refused:
            return
        self._refused = str(error)
        log.error("work at height %d refused: %s", work.height, error)
        self._place.emit(
            FaultEvent(
                device=self._place.device_id,
                code=fault_code(error),
                step="wait_for_other_work",
                detail=str(error),
            )
        )


def create(place: Place, assignment: AssignmentMessage) -> Mine:
    """Parameter ``threads``: of a processor; the driver's choice where it is left out."""
    options = {
        name: int(assignment.parameters[name]) for name in OPTIONS & assignment.parameters.keys()
    }
    if place.family == "cpu":
        options["niceness"] = NICENESS
    return Mine(place, options, assignment.infer_reserve)
