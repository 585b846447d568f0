"""One lent browser at its assignment, as the rig of browsers keeps it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Literal

from drivers.base import Capability
from drivers.errors import DeviceLost, DriverError, WrongAnswer
from farmctl.agent.rate import Rate
from farmctl.browsers import checks
from farmctl.browsers.lent import LentBrowser
from farmctl.browsers.messages import Standing
from farmctl.browsers.work import SHOWN_LIMIT, Mining, Offer, find_obstacle
from farmctl.bus import Bus
from farmctl.domain import Workload
from farmctl.inference.messages import InferRequest
from farmctl.messages import (
    INFER_MISMATCH,
    WRONG_ANSWER,
    AssignmentMessage,
    DeviceAck,
    DeviceReport,
    FaultEvent,
    Reading,
    ShareEvent,
)
from farmctl.mining.shares import Shares
from farmctl.workloads.base import Place

log = logging.getLogger(__name__)
Tell = Callable[[DeviceAck | ShareEvent | FaultEvent], None]
#: One browser is asked at a time; one that rests or is slow is not waited for longer.
CHECK_SECONDS = 30.0
MISSING = "a browser tells no sensors"


class BrowserPost:
    """Proves a browser, then does with it what plans say. ``broken`` is set to the reason why
    it cannot stay."""

    def __init__(
        self, browser: LentBrowser, place: Place, bus: Bus, offer: Offer, tell: Tell
    ) -> None:
        self.browser = browser
        self.changed = True
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._place, self._bus, self._offer, self._tell = place, bus, offer, tell
        self._assignment: AssignmentMessage | None = None
        self._plan_number, self._received = 0, time.monotonic()
        self._acked: object = None
        self._mining: Mining | None = None
        self._task: asyncio.Task[None] | None = None
        self._proving: asyncio.Task[None] | None = asyncio.create_task(self._prove())
        self._checked = Rate()
        self.shares_accepted = self.shares_refused = 0
        self.answers_right = self.answers_wrong = 0

    @property
    def workload(self) -> Workload:
        if self._task is not None:
            return Workload.MINE
        wanted = self._assignment
        infers = wanted and wanted.workload is Workload.INFER and not self._obstacle(wanted)
        return Workload.INFER if infers else Workload.IDLE

    @property
    def may_check(self) -> bool:
        wanted, browser = self._assignment, self.browser
        if wanted is None or browser.paused or browser.is_answering:
            return False
        reserved = wanted.infer_reserve or wanted.workload is Workload.INFER
        return reserved and browser.proved(Capability.INFER)

    def assign(self, assignment: AssignmentMessage, plan_number: int) -> None:
        """Do what a plan says; it is acknowledged once it is done, or cannot be."""
        released = self._assignment is not None and self._assignment.quarantined
        self._plan_number, self._received = plan_number, time.monotonic()
        self._assignment = assignment
        if assignment.quarantined:
            self.browser.tests = ()
        elif released and self._proving is None:
            self._proving = asyncio.create_task(self._prove())
        self._apply()

    def stop(self) -> None:
        for task in (self._task, self._proving):
            if task is not None:
                task.cancel()

    def take_share(self, event: ShareEvent) -> None:
        """Count a share of this browser, and tell it on."""
        self.shares_accepted += event.outcome == "accepted"
        self.shares_refused += event.outcome != "accepted"
        self._tell(event)

    def report(self) -> DeviceReport:
        hello = self.browser.hello
        return DeviceReport(
            id=self.browser.id,
            hardware_id=hello.hardware_id,
            family="browser",
            model=hello.model,
            capabilities=("cuckoo", "infer"),
            memory_bytes=hello.memory_bytes,
            details={"cores": str(hello.cores), "paused": self.browser.paused or "no"},
            self_tests=self.browser.tests,
            workload=self.workload,
        )

    def reading(self) -> Reading:
        rates = dict(self._mining.rates()) if self._mining and self._task else {}
        rates["infers_per_second"] = self._checked.per_second()
        missing = {"temperature_celsius": MISSING, "power_watts": MISSING}
        return Reading(device=self.browser.id, at=time.time(), values=rates, missing=missing)

    def standing(self) -> Standing:
        return Standing(
            device=self._place.device,
            workload=self.workload,
            detail=self._detail()[:SHOWN_LIMIT],
            proved=all(self.browser.proved(c) for c in (Capability.CUCKOO, Capability.INFER)),
            shares_accepted=self.shares_accepted,
            shares_refused=self.shares_refused,
            answers_right=self.answers_right,
            answers_wrong=self.answers_wrong,
        )

    async def check(self, model: checks.SmallModel, request: InferRequest) -> None:
        """Have the browser compute a request of the farm again."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                right = await checks.check(self.browser, model, request)
        except (DriverError, TimeoutError) as error:
            log.info("%s: no answer to a check: %s", self.browser.id, error or "too late")
            return
        self.answers_right += right is True
        self.answers_wrong += right is False
        self._checked.add(1, time.monotonic() - began)
        if right is False:
            self._fault(INFER_MISMATCH, "quarantine", f"differs: model {request.model}")

    def _obstacle(self, wanted: AssignmentMessage) -> str:
        return find_obstacle(self.browser, wanted)

    def _detail(self) -> str:
        if self._proving is not None:
            return "computes what is known, to be trusted with work"
        failed = [test.detail for test in self.browser.tests if not test.passed]
        if failed:
            return f"refused: {failed[0]}"
        if self._mining is not None and self._task is not None:
            return self._mining.detail
        return "waits for a plan" if self._assignment is None else self._assignment.reason

    async def _prove(self) -> None:
        try:
            await self.browser.prove()
        except DeviceLost as error:
            self._break(str(error))
            return
        self._proving = None
        self.changed = True
        self._apply()

    def _apply(self) -> None:
        wanted = self._assignment
        if wanted is None or self._proving is not None:
            return
        self.changed = True
        if obstacle := self._obstacle(wanted):
            self._halt()
            self._ack(wanted, "failed", obstacle)
            return
        if wanted.workload is not Workload.MINE:
            self._halt()
        elif self._task is None:
            shares = Shares(self._place, lambda: self._offer.work)
            self._mining = Mining(self.browser, self._bus, self._offer, shares)
            self._task = asyncio.create_task(self._mine(self._mining))
        self._ack(wanted, "running", "")

    def _halt(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _mine(self, mining: Mining) -> None:
        try:
            await mining.run()
        except WrongAnswer as error:
            self._fault(WRONG_ANSWER, "disconnect", str(error))
            self._break(str(error))
        except DriverError as error:
            self._break(str(error))
        finally:
            if not self.broken.done():
                await self.browser.rest()

    def _fault(self, code: str, step: str, detail: str) -> None:
        self._tell(FaultEvent(device=self.browser.id, code=code, step=step, detail=detail))

    def _break(self, reason: str) -> None:
        if not self.broken.done():
            self.broken.set_result(reason)

    def _ack(
        self, wanted: AssignmentMessage, state: Literal["running", "failed"], detail: str
    ) -> None:
        key = (self._plan_number, wanted.workload, state)
        if key == self._acked:
            return
        self._acked = key
        self._tell(
            DeviceAck(
                device=self.browser.id,
                plan_number=self._plan_number,
                workload=wanted.workload,
                state=state,
                seconds=time.monotonic() - self._received,
                detail=detail,
            )
        )
