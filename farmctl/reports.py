"""What rigs report on the durable stream; each event takes effect once, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from farmctl.domain import (
    QUARANTINE_SECONDS,
    DeviceKey,
    Event,
    FaultStep,
    Workload,
    device_key,
)
from farmctl.market import settlement
from farmctl.messages import (
    INFER_MISMATCH,
    WRONG_ANSWER,
    DeviceAck,
    FaultEvent,
    JobProgress,
    RigEvent,
    ShareEvent,
)
from farmctl.store import Store, Transaction, events, inventory, jobs, plans, policy
from farmctl.store.jobs import JobRecord
from farmctl.store.policy import Switch

#: Faults after which somebody should look.
GRAVE = (WRONG_ANSWER, "reboot_needed", "reboot_failed")


@dataclass(frozen=True)
class Effect:
    """What an event changed, for those who are told after the commit."""

    event: events.EventRecord | None = None
    switch: Switch | None = None
    job: JobRecord | None = None
    replan: bool = False


@dataclass
class Reports:
    store: Store
    changed: Callable[[Effect], None]
    clock: Callable[[], float] = time.time
    repeated: int = 0
    refused: int = 0

    async def hear(self, subject: str, event: RigEvent) -> None:
        """An event from the bus; a rig may speak for itself alone."""
        if subject == f"event.{event.rig}":
            await self.receive(event)
        else:
            self.refused += 1

    async def receive(self, event: RigEvent) -> None:
        """Take over one event; one that took effect before changes nothing."""
        with self.store.begin() as tx:
            if not events.see(tx, event.id, self.clock()):
                self.repeated += 1
                return
            effect = self._apply(tx, event)
        self.changed(effect)

    def _apply(self, tx: Transaction, event: RigEvent) -> Effect:
        key = device_key(event.rig, event.body.device.removeprefix(f"{event.rig}/"))
        match event.body:
            case DeviceAck() as body:
                return self._acknowledge(tx, key, body)
            case ShareEvent() as body:
                inventory.count_share(tx, key, body.outcome)
                return Effect()
            case JobProgress() as body:
                return self._progress(tx, key, body)
            case FaultEvent() as body:
                return self._fault(tx, key, body)

    def _acknowledge(self, tx: Transaction, key: DeviceKey, ack: DeviceAck) -> Effect:
        now = self.clock()
        if ack.plan_number < inventory.followed_plan(tx, key.split("/", 1)[0]):
            # It comes late, after a controller's death: the rig has said more since.
            return Effect(switch=self._settle(tx, key, ack, now))
        if ack.state == "running":
            inventory.confirm_workload(tx, key, ack.workload, ack.job_id, now)
            inventory.record_switch_time(tx, key, ack.seconds)
            keeps = ack.job_id if ack.workload is Workload.TRAIN else None
            released = jobs.release(tx, key, keeps)
            text = f"does {ack.workload} since plan {ack.plan_number}, after {ack.seconds:.1f} s"
            told = self._tell(tx, "switch", key, text)
        else:
            released = []
            text = f"cannot do {ack.workload}: {ack.detail or 'no reason given'}"
            told = self._tell(tx, "switch", key, text, "error")
        settled = self._settle(tx, key, ack, now)
        return Effect(told, switch=settled, replan=bool(released) or ack.state == "failed")

    def _settle(self, tx: Transaction, key: DeviceKey, ack: DeviceAck, now: float) -> Switch | None:
        """The request that this plan answers, if one waits."""
        for switch in policy.pending_switches(tx):
            number = switch.plan_number
            if switch.device == key and number is not None and ack.plan_number >= number:
                state, detail = "failed", ack.detail
                if ack.state == "running":
                    why = _reason(tx, ack.plan_number, key)
                    state, detail = policy.judge(switch, ack.workload, why)
                return policy.settle_switch(tx, switch.id, state, now, detail)
        return None

    def _progress(self, tx: Transaction, key: DeviceKey, progress: JobProgress) -> Effect:
        before = jobs.find(tx, progress.job_id)
        if before is None or not jobs.record_progress(tx, progress, key):
            return Effect()
        after = jobs.find(tx, progress.job_id)
        assert after is not None
        settlement.settle(tx, after, self.clock())
        if after.job.state is before.job.state:
            return Effect(job=after)
        text = f"{after.job.name}: {before.job.state} → {after.job.state} at step "
        text += f"{after.job.steps_done} of {after.job.total_steps}. {after.job.detail}"
        level = "error" if after.job.state == "failed" else "info"
        told = self._tell(tx, "job", after.job.id, text.strip(), level)
        return Effect(told, job=after, replan=True)

    def _fault(self, tx: Transaction, key: DeviceKey, fault: FaultEvent) -> Effect:
        """A device that computed wrongly is kept from work until a person clears it, one with
        too many faults for a while, and a person may end that too. Other faults are its agent's
        to mend."""
        text = f"{fault.code}: {fault.step}. {fault.detail}".strip()
        wrong = fault.code == INFER_MISMATCH
        now, known = self.clock(), inventory.find_device(tx, key) is not None
        if known and (wrong or fault.step == FaultStep.QUARANTINE):
            until = None if wrong else now + QUARANTINE_SECONDS
            policy.quarantine(tx, key, fault.detail or fault.code, now, until)
        level = "error" if wrong or fault.code in GRAVE else "warning"
        return Effect(self._tell(tx, "fault", key, text, level), replan=True)

    def _tell(
        self, tx: Transaction, kind: str, subject: str, text: str, level: str = "info"
    ) -> events.EventRecord:
        return events.add(tx, Event(self.clock(), kind, subject, text, level))


def _reason(tx: Transaction, plan_number: int, key: DeviceKey) -> str:
    plan = plans.find(tx, plan_number)
    lines = plan.assignments if plan else ()
    return next((line.reason for line in lines if line.device == key), "its rig decided so")
