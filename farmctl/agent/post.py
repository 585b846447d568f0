"""One device of a rig as its agent keeps it: sampler, runner, faults, and what it does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping

from drivers.base import Capability, Device, Health, HealthStatus
from drivers.errors import DriverError
from farmctl.agent.child import RunnerChild
from farmctl.agent.faults import Ladder
from farmctl.agent.hardware import prove
from farmctl.agent.lines import Assign, Happened, Rates, Report, State
from farmctl.agent.parts import RigParts
from farmctl.agent.rate import with_energy
from farmctl.agent.sampler import Sampler, describe
from farmctl.agent.settings import Keeper
from farmctl.agent.threads import call_with_deadline
from farmctl.domain import FaultStep, Priority, Workload
from farmctl.errors import StoreError
from farmctl.messages import (
    AssignmentMessage,
    DeviceAck,
    DeviceReport,
    FaultEvent,
    Reading,
    SelfTestReport,
)

log = logging.getLogger(__name__)
RETRY_SECONDS = 5.0
NEEDS = {
    Workload.MINE: Capability.CUCKOO,
    Workload.INFER: Capability.INFER,
    Workload.TRAIN: Capability.TRAIN,
}
#: A device that has not answered for so long comes back by a reboot, if at all.
LOST_SECONDS = 120.0
RESTORE_SECONDS = 10.0


def idle_assignment(device_id: str, reason: str) -> AssignmentMessage:
    return AssignmentMessage(
        device=device_id, workload=Workload.IDLE, priority=Priority.IDLE, reason=reason
    )


class Post:
    """Keeps one device at its assignment, through faults."""

    def __init__(self, device: Device, rig: RigParts) -> None:
        self.info = device.info
        self._hardware = rig.hardware
        self._proofs = rig.proofs
        self._tell = rig.tell
        self._room_reason = rig.room_reason
        self._profile = rig.profile
        self._loop = asyncio.get_running_loop()
        self._keeper = Keeper(device, rig.originals, self._tell_setting)
        self._sampler = Sampler(device, then=self._keeper.keep)
        self._lost_since: float | None = None
        self._child = RunnerChild(device.info.id, self._hear, self._mourn)
        self._ladder = Ladder()
        self._wanted = idle_assignment(device.info.id, "no plan yet")
        self._plan_number = 0
        self._received = time.monotonic()
        self._acked: object = None
        self._workload = Workload.IDLE
        self._job_id: str | None = None
        self._rates: Mapping[str, float] = {}
        self._mending: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._told_health = HealthStatus.OK
        self.changed = True

    def start(self) -> None:
        self._sampler.start()
        self._child.start()
        self._mend(self._prove_missing())

    async def stop(self) -> None:
        if self._mending is not None:
            self._mending.cancel()
        if self._retry is not None:
            self._retry.cancel()
        self._sampler.stop()
        await self._child.stop()
        try:
            name = f"restore-{self.info.id}"
            await call_with_deadline(self._keeper.restore, RESTORE_SECONDS, name)
        except (DriverError, StoreError, TimeoutError) as error:
            log.warning("%s: controls were not put back: %s", self.info.id, error or "it hangs")

    def assign(self, assignment: AssignmentMessage, plan_number: int) -> None:
        """Do what a plan says; it is acknowledged once it is done, or cannot be."""
        released = self._wanted.quarantined and not assignment.quarantined
        self._wanted = assignment
        self._plan_number = plan_number
        self._received = time.monotonic()
        self._acked = None
        if released:
            self._ladder.release()
            self._prove_anew()
        elif self._mending is None or self._mending.done() or self._is_quarantined():
            self._apply()

    def reading(self) -> Reading | None:
        """The newest telemetry with the workload's rates; None when there is no newer one."""
        self._watch_health()
        sample = self._sampler.take()
        if sample is None:
            return None
        telemetry = sample.telemetry
        own = {**telemetry.values, "scrape_seconds": sample.seconds}
        values = with_energy({**own, **self._rates})
        return Reading(
            device=self.info.id, at=telemetry.time, values=values, missing=dict(telemetry.missing)
        )

    @property
    def is_idle(self) -> bool:
        return self._workload is Workload.IDLE

    def needs_reboot(self) -> str:
        """Why only a reboot may help the device; empty where it is not so."""
        if self._ladder.is_hopeless(time.time()):
            return "quarantined again and again"
        if self._lost_since and time.monotonic() - self._lost_since > LOST_SECONDS:
            return self._health().reason
        return ""

    def _watch_health(self) -> None:
        health = self._health().status
        if health is not self._told_health:
            self._told_health, self.changed = health, True
            self._lost_since = time.monotonic() if health is HealthStatus.LOST else None
        if self._ladder.relax(time.time()):
            self._keeper.lower(self._ladder.power_ratio)
            self._tell_fault("steady", "restore_power", "no fault for a while")

    def report(self) -> DeviceReport:
        info, health = self.info, self._health()
        return DeviceReport(
            id=info.id,
            hardware_id=info.hardware_id,
            family=info.family,
            model=info.model,
            capabilities=tuple(sorted(info.capabilities)),
            driver_version=info.driver_version,
            memory_bytes=info.memory_bytes,
            details=dict(info.details),
            health=health.status.value,
            health_reason=health.reason,
            self_tests=self._self_tests(),
            workload=self._workload,
            job_id=self._job_id,
        )

    def _self_tests(self) -> tuple[SelfTestReport, ...]:
        return tuple(
            SelfTestReport(
                capability=test.capability,
                passed=test.passed and not self._objection(test.capability),
                detail=self._objection(test.capability) or test.detail,
                seconds=test.seconds,
            )
            for test in self._proofs.of(self.info)
        )

    def _objection(self, capability: Capability) -> str:
        """Why the device may not work at a capability that it has, apart from its proof."""
        return self._room_reason if capability is Capability.TRAIN else ""

    def _is_quarantined(self) -> bool:
        return self._ladder.is_quarantined(time.time())

    def _health(self) -> Health:
        if self._is_quarantined():
            reason = "quarantined after repeated faults; tested again later"
            return Health(HealthStatus.DEGRADED, ("quarantined",), reason)
        return self._sampler.health()

    def _apply(self) -> None:
        """Hand the wanted assignment to the runner, or say why not."""
        if self._retry is not None:
            self._retry.cancel()
        wanted = self._wanted
        obstacle = self._obstacle(wanted)
        if obstacle:
            wanted = idle_assignment(self.info.id, obstacle)
            self._ack(self._wanted.workload, self._wanted.job_id, "failed", obstacle)
        elif wanted.infer_reserve and not self._proofs.has(self.info, Capability.INFER):
            wanted = wanted.model_copy(update={"infer_reserve": False})
        self._keeper.want(self._profile(self.info, wanted.workload))
        self._child.assign(Assign(plan_number=self._plan_number, assignment=wanted))

    def _obstacle(self, wanted: AssignmentMessage) -> str:
        if wanted.workload is not Workload.IDLE and self._is_quarantined():
            return self._health().reason
        capability = NEEDS.get(wanted.workload)
        if capability is None:
            return ""
        if not self._proofs.has(self.info, capability):
            return f"{self.info.id} has not passed its known-answer test for {capability}"
        return self._objection(capability)

    def _hear(self, report: Report) -> None:
        match report:
            case Rates():
                self._rates = report.values
            case Happened():
                self._tell(report.body)
            case State():
                self._note(report)

    def _note(self, report: State) -> None:
        running = report.state == "running"
        now = (report.workload, report.job_id) if running else (Workload.IDLE, None)
        if now != (self._workload, self._job_id):
            self._workload, self._job_id = now
            self.changed = True
        if report.plan_number != self._plan_number or report.workload != self._wanted.workload:
            return
        if report.state == "running":
            self._ack(report.workload, report.job_id, "running", report.detail)
        elif report.state == "failed":
            self._ack(report.workload, report.job_id, "failed", report.detail)
            self._answer_failure(report)

    def _answer_failure(self, report: State) -> None:
        if report.cause == "device":
            self._climb(report.code, report.detail)
        elif report.cause == "unavailable":
            self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._apply)

    def _climb(self, code: str, detail: str) -> None:
        step = self._ladder.climb(time.time(), self._keeper.can_lower)
        self._tell_fault(code, step, f"{detail}{describe(self._sampler)}")
        self._proofs.forget(self.info)
        self.changed = True
        # Whatever comes next, the device rests until it has proved itself again.
        rest = idle_assignment(self.info.id, f"tested again after {code}")
        self._child.assign(Assign(plan_number=self._plan_number, assignment=rest))
        if step is FaultStep.QUARANTINE:
            self._mend(self._sit_out())
            return
        if step is FaultStep.LOWER_POWER:
            self._keeper.lower(self._ladder.power_ratio)
        if step in (FaultStep.RESTART_RUNNER, FaultStep.LOWER_POWER):
            self._child.restart()
        self._mend(self._prove_missing())

    async def _sit_out(self) -> None:
        await asyncio.sleep(self._ladder.quarantined_until - time.time())
        self._ladder.release()
        await self._prove_missing()

    def _prove_anew(self) -> None:
        self._proofs.forget(self.info)
        self.changed = True
        if self._mending is not None:
            self._mending.cancel()
        self._mend(self._prove_missing())

    async def _prove_missing(self) -> None:
        for test in await prove(self._hardware, self.info, self._proofs.missing(self.info)):
            self._proofs.record(self.info, test)
            self.changed = True
            if not test.passed:
                log.error("%s failed its %s test: %s", self.info.id, test.capability, test.detail)

    def _mend(self, work: Awaitable[object]) -> None:
        """Do ``work``, then apply what is wanted by then."""

        async def run() -> None:
            await work
            self._apply()

        self._mending = asyncio.create_task(run())

    def _mourn(self, status: int) -> None:
        """The runner died; it is started again with its last command."""
        self._workload, self._job_id, self._rates = Workload.IDLE, None, {}
        self.changed = True
        self._acked = None
        self._tell_fault("runner_died", FaultStep.RESTART_RUNNER, f"exit status {status}")

    def _tell_fault(self, code: str, step: str, detail: str) -> None:
        self._tell(FaultEvent(device=self.info.id, code=code, step=str(step), detail=detail))

    def _tell_setting(self, code: str, step: str, detail: str) -> None:
        """From the sampler's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell_fault, code, step, detail)

    def _ack(self, workload: Workload, job_id: str | None, state: str, detail: str) -> None:
        key = (self._plan_number, workload, job_id, state)
        if self._plan_number == 0 or key == self._acked:
            return
        self._acked = key
        self._tell(
            DeviceAck.model_validate(
                {
                    "device": self.info.id,
                    "plan_number": self._plan_number,
                    "workload": workload,
                    "job_id": job_id,
                    "state": state,
                    "seconds": time.monotonic() - self._received,
                    "detail": detail,
                }
            )
        )
