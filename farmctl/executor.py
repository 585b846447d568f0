"""Carries out plans: asks the planner, stores its decision, hands each rig its part.

The order is store first, bus second: a plan that was stored and not sent is sent by `resend`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from farmctl import planner
from farmctl.bus import Bus
from farmctl.domain import Assignment, Plan
from farmctl.errors import BusError
from farmctl.inventory import InventoryKeeper
from farmctl.messages import AssignmentMessage, RigPlan
from farmctl.store import Store, Transaction, inventory, jobs, plans, policy
from farmctl.store.policy import Switch

log = logging.getLogger(__name__)
BUCKET = "plans"
#: A rig reports that it has a plan within this time, or is sent it again.
RESEND_SECONDS = 15.0
#: A switch that no rig confirmed within this time has failed.
SWITCH_SECONDS = 180.0


@dataclass
class Executor:
    store: Store
    bus: Bus
    keeper: InventoryKeeper
    market: Callable[[Transaction], planner.Market]
    rules: Callable[[Transaction], planner.Policy]
    settled: Callable[[Switch], None]
    """Told of each request that came to its end."""
    clock: Callable[[], float] = time.time
    current: Plan | None = None
    _sent: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By rig: number of its part of the plan, and when it was sent."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def load(self) -> None:
        """Go on with the newest plan of before; each rig is sent its part again."""
        with self.store.begin() as tx:
            self.current = plans.latest(tx)

    async def decide(self) -> Plan | None:
        """Plan, store and send. Returns the plan in force; None while there is no device."""
        async with self._lock:
            before = self.current
            decided = self._plan()
            if decided is not None and decided is not before:
                self.current = decided
                await self._send(decided, _changed_rigs(before, decided))
            return decided

    def _plan(self) -> Plan | None:
        now = self.clock()
        with self.store.begin() as tx:
            rules, seen, market = self.rules(tx), self.keeper.view(tx), self.market(tx)
            if not seen.devices and self.current is None:
                return None
            decided = planner.plan(rules, seen, market, now, self.current)
            if decided is not self.current:
                plans.add(tx, decided, _summary(rules, seen, market))
                jobs.assign(tx, ((a.job_id, a.device) for a in decided.assignments if a.job_id))
            policy.bind_switches(tx, decided.number)
            done = self._settle_idle(tx, decided, now) if decided is self.current else []
        for switch in done:
            self.settled(switch)
        return decided

    def _settle_idle(self, tx: Transaction, plan: Plan, now: float) -> list[Switch]:
        """Answer requests that left an older plan as it was: no rig will answer them."""
        lines = {a.device: a for a in plan.assignments}
        found: list[Switch | None] = []
        for switch in policy.pending_switches(tx):
            record = inventory.find_device(tx, switch.device)
            line = lines.get(switch.device)
            there = record and line and record.device.workload == line.workload
            if line and there and plan.created < switch.asked:
                state, detail = policy.judge(switch, line.workload, line.reason)
                found.append(policy.settle_switch(tx, switch.id, state, now, detail))
        return [switch for switch in found if switch is not None]

    async def _send(self, plan: Plan, rigs: set[str]) -> None:
        for rig in sorted(rigs):
            message = self._part(plan, rig)
            self._sent[rig] = (plan.number, self.clock())
            try:
                await self.bus.put(BUCKET, rig, message)
            except BusError as error:
                del self._sent[rig]  # `resend` tries again soon
                log.warning("plan %d is not with %s yet: %s", plan.number, rig, error)

    def _part(self, plan: Plan, rig: str) -> RigPlan:
        with self.store.begin() as tx:
            found = {r.job.id: r.checkpoint for r in jobs.open_jobs(tx)}
        lines = tuple(_line(a, found.get(a.job_id or "")) for a in plan.for_rig(rig))
        return RigPlan(rig=rig, number=plan.number, created=plan.created, assignments=lines)

    async def resend(self) -> None:
        """Send rigs their part again where they have not said in time that they follow it."""
        async with self._lock:
            if self.current is None:
                return
            with self.store.begin() as tx:
                rigs = inventory.rigs(tx)
            now = self.clock()
            late = {
                r.rig.name
                for r in rigs
                if self._is_late(r.rig.name, r.rig.plan_number, now)
                and not self.keeper.is_offline(r.rig.last_seen)
            }
            await self._send(self.current, late & _rigs(self.current))

    def _is_late(self, rig: str, follows: int, now: float) -> bool:
        number, when = self._sent.get(rig, (0, 0.0))
        if number == 0:
            return True  # this process has not sent it anything yet
        return follows < number and now - when > RESEND_SECONDS

    def give_up(self) -> None:
        """End requests that no rig confirmed in time."""
        now = self.clock()
        with self.store.begin() as tx:
            late = [
                policy.settle_switch(tx, s.id, "failed", now, "the rig did not confirm it in time")
                for s in policy.pending_switches(tx)
                if now - s.asked > SWITCH_SECONDS
            ]
        for switch in late:
            if switch is not None:
                self.settled(switch)


def _rigs(plan: Plan) -> set[str]:
    return {a.device.split("/", 1)[0] for a in plan.assignments}


def _changed_rigs(before: Plan | None, after: Plan) -> set[str]:
    if before is None:
        return _rigs(after)
    both = _rigs(before) | _rigs(after)
    return {rig for rig in both if before.for_rig(rig) != after.for_rig(rig)}


def _line(assignment: Assignment, checkpoint: str | None) -> AssignmentMessage:
    """A resumed job is told its newest checkpoint, wherever that was made."""
    parameters = dict(assignment.parameters)
    if checkpoint:
        parameters["checkpoint"] = checkpoint
    return AssignmentMessage(
        device=assignment.device.split("/", 1)[1],
        workload=assignment.workload,
        priority=assignment.priority,
        reason=assignment.reason,
        job_id=assignment.job_id,
        infer_reserve=assignment.infer_reserve,
        quarantined=assignment.quarantined,
        paused=assignment.paused,
        generation=assignment.generation,
        parameters=parameters,
    )


def _summary(
    rules: planner.Policy, seen: planner.Inventory, market: planner.Market
) -> dict[str, Any]:
    """The planner's inputs as JSON."""
    parts = {"policy": asdict(rules), "inventory": asdict(seen), "market": asdict(market)}
    return {name: _plain(part) for name, part in parts.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
