"""Bodies of the HTTP API from what the controller holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from farmctl.api import schemas
from farmctl.domain import Assignment, Plan, Priority, Wish, Workload
from farmctl.planner.assign import ABLE
from farmctl.store import (
    Transaction,
    audit,
    events,
    inventory,
    jobs,
    market,
    policy,
    readings,
)

if TYPE_CHECKING:
    from farmctl.farm import Farm

State = Literal["healthy", "attention", "offline", "paused"]


class Views:
    """One method a body; those that read the store take the open transaction."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    def overview(self, tx: Transaction) -> schemas.OverviewView:
        farm, seen = self._farm, self.devices(tx)
        rigs, shares = self.rigs(tx), inventory.total_shares(tx)
        powers = [d.readings.get("power_watts") for d in seen]
        known = [power for power in powers if power is not None]
        plan = farm.executor.current
        return schemas.OverviewView(
            farm=farm.config.farm.name,
            time=farm.clock(),
            devices=_count([d.state for d in seen]),
            rigs=_count([r.state for r in rigs]),
            workloads={w: sum(d.workload is w for d in seen) for w in Workload},
            graphs_per_second=_total(seen, "graphs_per_second"),
            infers_per_second=_total(seen, "infers_per_second"),
            training_steps_per_second=_total(seen, "steps_per_second"),
            power_watts=sum(known) if known else None,
            power_reporting=len(known),
            devices_total=len(seen),
            money=self.money(tx, seen),
            node=self.node(),
            plan_number=plan.number if plan else 0,
            shares_accepted=shares.accepted,
            shares_stale=shares.stale,
            shares_rejected=shares.rejected,
            shares_invalid=shares.invalid,
        )

    def money(self, tx: Transaction, seen: list[schemas.DeviceView]) -> schemas.MoneyView:
        farm = self._farm
        earnings = farm.economy.earnings(farm.keeper.view(tx), farm.economy.market(tx))
        return schemas.MoneyView(
            revenue_micro_per_hour=earnings.revenue_micro,
            power_micro_per_hour=earnings.power_micro,
            net_micro_per_hour=earnings.net_micro,
            sold_devices=sum(d.job_id is not None for d in seen),
            idle_devices=sum(d.workload is Workload.IDLE for d in seen),
            currency=farm.config.farm.currency,
        )

    def node(self) -> schemas.NodeView:
        status, now = self._farm.node_status(), self._farm.clock()
        if status is None:
            chain = self._farm.config.node.chain
            return schemas.NodeView(
                running=False,
                chain=chain,
                height=0,
                head="",
                head_age_seconds=None,
                difficulty=0,
                syncing=False,
                pending_transactions=0,
                peers=0,
                coinbase="",
                balance_wei="0",
                blocked="the node does not answer",
                mode="light" if self._farm.config.node.mode == "light" else "full",
            )
        known = status.model_dump(exclude={"v", "time", "stratum", "relay", "model_cache"})
        age = max(0.0, now - status.time) if status.time else None
        return schemas.NodeView(running=True, head_age_seconds=age, **known)

    def rigs(self, tx: Transaction) -> list[schemas.RigView]:
        found = inventory.devices(tx)
        return [
            self._rig(record, [d for d in found if d.device.rig == record.rig.name])
            for record in inventory.rigs(tx)
        ]

    def _rig(
        self, record: inventory.RigRecord, devices: list[inventory.DeviceRecord]
    ) -> schemas.RigView:
        rig = record.rig
        state: Literal["healthy", "attention", "offline"] = "healthy"
        sick = [d.device.id for d in devices if d.device.health not in ABLE]
        reason = f"needs attention: {', '.join(sick)}" if sick else ""
        if sick:
            state = "attention"
        if self._farm.keeper.is_offline(rig.last_seen):
            state, reason = "offline", "its agent is silent"
        return schemas.RigView(
            name=rig.name,
            site=rig.site,
            state=state,
            reason=reason,
            agent_version=rig.agent_version,
            last_seen=rig.last_seen,
            plan_number=rig.plan_number,
            devices=sum(d.present for d in devices),
            families=[schemas.FamilyView(**f.model_dump(exclude={"v"})) for f in record.families],
        )

    def devices(self, tx: Transaction) -> list[schemas.DeviceView]:
        return [self._device(record, context) for record, context in self._contexts(tx)]

    def device(self, tx: Transaction, key: str) -> schemas.DeviceView | None:
        return next((d for d in self.devices(tx) if d.key == key), None)

    def _contexts(self, tx: Transaction) -> list[tuple[inventory.DeviceRecord, _Context]]:
        farm, now = self._farm, self._farm.clock()
        prices = farm.economy.market(tx)
        planned = {d.device.key: d for d in farm.keeper.view(tx).devices}
        plan = farm.executor.current
        lines = {a.device: a for a in plan.assignments} if plan else {}
        wishes = {w.device: w for w in policy.wishes(tx, now)}
        paused, quarantined = policy.paused(tx), policy.quarantined(tx, now)
        seen = {r.rig.name: r.rig.last_seen for r in inventory.rigs(tx)}
        found = []
        for record in inventory.devices(tx):
            key = record.device.key
            nets: dict[str, int] = {}
            if key in planned:
                estimates = farm.economy.net_by_workload(planned[key], prices)
                nets = {str(workload): net for workload, net in estimates.items()}
            offline = farm.keeper.is_offline(seen[record.device.rig])
            context = _Context(
                offline,
                lines.get(key),
                wishes.get(key),
                key in paused,
                quarantined.get(key, ""),
                nets,
            )
            found.append((record, context))
        return found

    def _device(self, record: inventory.DeviceRecord, context: _Context) -> schemas.DeviceView:
        device, line, wish = record.device, context.line, context.wish
        reading = self._farm.telemetry.latest(device.key)
        state, reason = _state(record, context)
        return schemas.DeviceView(
            key=device.key,
            rig=device.rig,
            id=device.id,
            family=device.family,
            model=device.model,
            hardware_id=device.hardware_id,
            capabilities=sorted(device.capabilities),
            self_tests=[
                schemas.SelfTestView(**test.model_dump(exclude={"v"})) for test in record.self_tests
            ],
            state=state,
            reason=reason,
            workload=device.workload,
            wanted=line.workload if line else Workload.IDLE,
            why=line.reason if line else "no plan yet",
            priority=line.priority if line else Priority.IDLE,
            infer_reserve=bool(line and line.infer_reserve),
            job_id=device.job_id,
            locked=bool(wish and wish.locked),
            paused=context.paused,
            quarantined=bool(context.quarantine),
            wish=wish.workload if wish else None,
            readings=dict(reading.values) if reading else {},
            missing=dict(reading.missing) if reading else {},
            net_micro_per_hour=context.net_micro_per_hour,
            shares_accepted=record.shares.accepted,
            shares_stale=record.shares.stale,
            shares_rejected=record.shares.rejected,
            shares_invalid=record.shares.invalid,
        )

    def series(self, tx: Transaction, key: str, field: str, seconds: float) -> schemas.SeriesView:
        now = self._farm.clock()
        found = readings.series(tx, key, field, now - seconds, now)
        return schemas.SeriesView(
            device=key,
            field=field,
            times=[time for time, _ in found.points],
            values=[value for _, value in found.points],
            step_seconds=found.step_seconds,
        )

    def switch(self, switch: policy.Switch) -> schemas.SwitchView:
        return schemas.SwitchView.model_validate(
            {name: value for name, value in vars(switch).items() if name != "by"}
        )

    def job(self, tx: Transaction, record: jobs.JobRecord) -> schemas.JobView:
        job, invoice = record.job, market.invoice_of(tx, record.job.id)
        return schemas.JobView(
            id=job.id,
            name=job.name,
            customer=job.customer,
            kind=job.kind,
            parameters=dict(job.parameters),
            state=job.state,
            interruptible=job.interruptible,
            price_micro_per_hour=job.price_micro_per_hour,
            quoted_total_micro=record.quoted_total_micro,
            created=job.created,
            device=job.device,
            steps_done=job.steps_done,
            total_steps=job.total_steps,
            device_seconds=job.device_seconds,
            losses=jobs.losses(tx, job.id),
            preemptions=record.preemptions,
            results=record.results,
            invoice=invoice.id if invoice else None,
            detail=job.detail,
        )

    def plan(self, plan: Plan) -> schemas.PlanView:
        lines = [
            schemas.PlanLine(
                device=a.device,
                workload=a.workload,
                priority=a.priority,
                reason=a.reason,
                job_id=a.job_id,
                infer_reserve=a.infer_reserve,
            )
            for a in plan.assignments
        ]
        return schemas.PlanView(number=plan.number, created=plan.created, assignments=lines)

    def event(self, record: events.EventRecord) -> schemas.EventView:
        return schemas.EventView.model_validate({"id": record.id, **vars(record.event)})

    def audit(self, entry: audit.Entry) -> schemas.AuditView:
        return schemas.AuditView.model_validate(vars(entry))

    def block(self, block: dict[str, Any]) -> schemas.BlockView:
        """From the node's JSON-RPC form."""
        return schemas.BlockView(
            number=int(block["number"], 16),
            hash=block["hash"],
            parent=block["parentHash"],
            time=int(block["timestamp"], 16),
            miner=block["miner"],
            difficulty=int(block["difficulty"], 16),
            gas_used=int(block["gasUsed"], 16),
            gas_limit=int(block["gasLimit"], 16),
            transactions=len(block["transactions"]),
            infer_calls=None if (calls := block.get("inferCalls")) is None else int(calls, 16),
            size_bytes=int(block["size"], 16),
        )


class _Context:
    """What is known of a device beside its own record."""

    def __init__(
        self,
        offline: bool,
        line: Assignment | None,
        wish: Wish | None,
        paused: bool,
        quarantine: str,
        net_micro_per_hour: dict[str, int],
    ) -> None:
        self.offline, self.line, self.wish, self.paused = offline, line, wish, paused
        self.quarantine, self.net_micro_per_hour = quarantine, net_micro_per_hour


def _state(record: inventory.DeviceRecord, context: _Context) -> tuple[State, str]:
    if not record.present or context.offline:
        return "offline", record.device.health_reason or "its rig is silent"
    if record.device.health not in ABLE:
        return "attention", record.device.health_reason or record.device.health
    if context.quarantine:
        return "attention", f"quarantined: {context.quarantine}"
    failed = [t for t in record.self_tests if not t.passed]
    if failed:
        return "attention", f"self-test {failed[0].capability} failed: {failed[0].detail}"
    if context.paused:
        return "paused", "paused"
    return "healthy", record.device.health_reason


def _count(states: list[Any]) -> schemas.StateCounts:
    names = ("healthy", "attention", "offline", "paused")
    return schemas.StateCounts(**{name: states.count(name) for name in names})


def _total(devices: list[schemas.DeviceView], field: str) -> float:
    return sum(d.readings.get(field) or 0.0 for d in devices)
