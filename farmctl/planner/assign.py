"""Who gets which device: `plan`, rule by rule in the order of `farmctl.domain.Priority`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from farmctl.domain import Assignment, DeviceKey, Job, JobState, Plan, Priority, Wish, Workload
from farmctl.planner.economics import (
    job_net_micro_per_hour,
    mining_net_micro_per_hour,
    switch_cost_micro,
)
from farmctl.planner.inputs import Inventory, Market, PlannedDevice, Policy

#: The capability that each workload needs.
NEEDS = {Workload.MINE: "cuckoo", Workload.INFER: "infer", Workload.TRAIN: "train"}
#: What a switch without a lock counts for: as much as the planner's own choice of the same.
PUSHED = {
    Workload.MINE: Priority.MINING,
    Workload.INFER: Priority.INFER_RESERVE,
    Workload.TRAIN: Priority.INTERRUPTIBLE,
    Workload.EXTERNAL: Priority.MINING,
    Workload.IDLE: Priority.IDLE,
}
#: Kinds of health with which a device may go on working.
ABLE = frozenset({"ok", "degraded"})
SECONDS_PER_HOUR = 3600


@dataclass
class _Desk:
    """What the rules share while one plan is made."""

    policy: Policy
    market: Market
    now: float
    previous: dict[DeviceKey, Assignment]
    wishes: dict[DeviceKey, Wish]
    done: dict[DeviceKey, Assignment] = field(default_factory=dict)
    placed: set[str] = field(default_factory=set)

    def settle(self, assignment: Assignment) -> None:
        self.done[assignment.device] = assignment
        if assignment.job_id is not None:
            self.placed.add(assignment.job_id)


def plan(
    policy: Policy, inventory: Inventory, market: Market, now: float, previous: Plan | None
) -> Plan:
    """Decide what every device does. Returns ``previous`` itself where nothing changes, so that
    the number grows only with a decision. Deterministic; a device holds at most one job."""
    before = {a.device: a for a in previous.assignments} if previous else {}
    wishes = {w.device: w for w in policy.wishes if w.until is None or w.until > now}
    desk = _Desk(policy, market, now, before, wishes)
    devices = sorted(inventory.devices, key=lambda d: d.device.key)
    for rule in (_keep_safe, _obey_people):
        _settle_each(desk, devices, rule)
    _place_jobs(desk, devices, interruptible=False)
    _place_jobs(desk, devices, interruptible=True)
    for rule in (_follow_push, _earn):
        _settle_each(desk, devices, rule)
    number = previous.number + 1 if previous else 1
    decided = tuple(_number(desk.done[d.device.key], before, number) for d in devices)
    if previous is not None and _same(decided, previous.assignments):
        return previous
    return Plan(number, now, decided)


Rule = Callable[[_Desk, PlannedDevice], Assignment | None]


def _settle_each(desk: _Desk, devices: list[PlannedDevice], rule: Rule) -> None:
    for device in devices:
        if device.device.key not in desk.done:
            assignment = rule(desk, device)
            if assignment is not None:
                desk.settle(assignment)


def _keep_safe(desk: _Desk, planned: PlannedDevice) -> Assignment | None:
    """A device that is not well or computed wrongly stands still; one whose rig is silent is
    left as it was."""
    device = planned.device
    before = desk.previous.get(device.key)
    if planned.offline:
        return _leave(desk, before) if before else _idle(planned, "its rig is silent")
    if device.health not in ABLE:
        reason = device.health_reason or device.health
        return _idle(planned, f"stopped for safety: {reason}")
    if device.key in desk.policy.quarantined:
        idle = _idle(planned, f"quarantined: {desk.policy.quarantined[device.key]}")
        return replace(idle, quarantined=True)
    return None


def _leave(desk: _Desk, before: Assignment) -> Assignment:
    """As it was, unless its job has ended or was taken away for the long silence."""
    held = {job.id for job in desk.market.jobs if job.device == before.device}
    if before.job_id is None or before.job_id in held:
        return before
    text = "its rig is silent, and its job is no longer here"
    return Assignment(before.device, Workload.IDLE, Priority.IDLE, text)


def _idle(planned: PlannedDevice, reason: str) -> Assignment:
    return Assignment(planned.device.key, Workload.IDLE, Priority.SAFETY, reason)


def _obey_people(desk: _Desk, planned: PlannedDevice) -> Assignment | None:
    """Pauses and locks."""
    key = planned.device.key
    if key in desk.policy.paused:
        who = desk.policy.paused[key]
        return Assignment(key, Workload.IDLE, Priority.MANUAL, f"paused by {who}", paused=True)
    wish = desk.wishes.get(key)
    if wish is None or not wish.locked:
        return None
    return _by_hand(desk, planned, wish, Priority.MANUAL)


def _follow_push(desk: _Desk, planned: PlannedDevice) -> Assignment | None:
    """A switch without a lock, on a device that nothing sold has taken."""
    wish = desk.wishes.get(planned.device.key)
    return None if wish is None else _by_hand(desk, planned, wish, PUSHED[wish.workload])


def _by_hand(desk: _Desk, planned: PlannedDevice, wish: Wish, priority: Priority) -> Assignment:
    key = planned.device.key
    how = "locked" if wish.locked else "switched"
    if not _can(planned, wish.workload):
        missing = f"{how} to {wish.workload} by {wish.by}, which the device has not proved"
        return Assignment(key, Workload.IDLE, priority, missing)
    if wish.workload is Workload.TRAIN:
        return _train_by_hand(desk, planned, f"{how} to train by {wish.by}", priority)
    reserve = wish.workload is not Workload.IDLE and _reserve(planned)
    text = f"{how} to {wish.workload} by {wish.by}"
    text += "" if wish.locked else "; not locked, so sold work comes first"
    return Assignment(key, wish.workload, priority, text, infer_reserve=reserve)


def _train_by_hand(
    desk: _Desk, planned: PlannedDevice, reason: str, priority: Priority
) -> Assignment:
    """A device kept for training takes the first job that is free, and waits while there is
    none."""
    key = planned.device.key
    job = next((j for j in _by_claim(desk) if _may_take(desk, planned, j)), None)
    if job is None:
        text = f"{reason}; waits for a job"
        return Assignment(key, Workload.IDLE, priority, text, infer_reserve=_reserve(planned))
    return _job(planned, job, priority, reason)


def _by_claim(desk: _Desk) -> list[Job]:
    """Contracts first, then by price, then by age."""
    return sorted(
        desk.market.jobs, key=lambda j: (j.interruptible, -j.price_micro_per_hour, j.created, j.id)
    )


def _place_jobs(desk: _Desk, devices: list[PlannedDevice], interruptible: bool) -> None:
    """A job stays where it is if it may; else it takes the free device that loses least by it."""
    jobs = [job for job in _by_claim(desk) if job.interruptible is interruptible]
    for stays in (True, False):
        for job in jobs:
            fitting = [
                d
                for d in devices
                if _is_free(desk, d)
                and _may_take(desk, d, job)
                and (_holds(desk, d, job) is stays)
                and (not interruptible or _pays(desk, d, job))
            ]
            if job.id not in desk.placed and fitting:
                best = min(fitting, key=lambda d: (_mining(desk, d), d.device.key))
                desk.settle(_sold(best, job))


def _is_free(desk: _Desk, planned: PlannedDevice) -> bool:
    return planned.device.key not in desk.done


def _holds(desk: _Desk, planned: PlannedDevice, job: Job) -> bool:
    before = desk.previous.get(planned.device.key)
    return job.device == planned.device.key or (before is not None and before.job_id == job.id)


def _may_take(desk: _Desk, planned: PlannedDevice, job: Job) -> bool:
    """Another device's job is taken over only once that device has let go of it."""
    if job.id in desk.placed or not _can(planned, Workload.TRAIN):
        return False
    return _holds(desk, planned, job) or _is_let_go(desk, job)


def _is_let_go(desk: _Desk, job: Job) -> bool:
    held = job.device is not None or any(a.job_id == job.id for a in desk.previous.values())
    return not held or (job.state is JobState.PREEMPTED and job.device is None)


def _pays(desk: _Desk, planned: PlannedDevice, job: Job) -> bool:
    """An interruptible job takes a device from mining if it pays as much, and yields it again
    only for a gain that is worth a switch."""
    mining = _mining(desk, planned)
    net = job_net_micro_per_hour(planned, desk.market, job)
    if not _holds(desk, planned, job):
        return net >= mining
    return not _worth_switching(desk, planned, net, mining)


def _worth_switching(desk: _Desk, planned: PlannedDevice, present: int, other: int) -> bool:
    policy = desk.policy
    gain = other - present
    if gain <= policy.switch_threshold_ratio * abs(present):
        return False
    if desk.now - planned.workload_since < policy.minimum_dwell_seconds:
        return False
    earned_back = gain * policy.horizon_seconds / SECONDS_PER_HOUR
    return earned_back > switch_cost_micro(planned, present)


def _mining(desk: _Desk, planned: PlannedDevice) -> int:
    """What mining would earn here; nothing where the device cannot mine."""
    if not _can(planned, Workload.MINE):
        return 0
    return mining_net_micro_per_hour(planned, desk.market) or 0


def _sold(planned: PlannedDevice, job: Job) -> Assignment:
    if job.interruptible:
        return _job(planned, job, Priority.INTERRUPTIBLE, "sold, interruptible")
    return _job(planned, job, Priority.CONTRACT, "sold by contract")


def _job(planned: PlannedDevice, job: Job, priority: Priority, reason: str) -> Assignment:
    return Assignment(
        planned.device.key,
        Workload.TRAIN,
        priority,
        f"{reason}: job {job.name}",
        job_id=job.id,
        infer_reserve=_reserve(planned),
        parameters={
            **job.parameters,
            "kind": job.kind,
            "total_steps": str(job.total_steps),
        },
    )


def _earn(desk: _Desk, planned: PlannedDevice) -> Assignment:
    """With nothing sold: mine, or answer INFER, or rest."""
    key, reserve = planned.device.key, _reserve(planned)
    if _can(planned, Workload.MINE):
        text = "nothing sold: mines" + (", and answers INFER" if reserve else "")
        return Assignment(key, Workload.MINE, Priority.MINING, text, infer_reserve=reserve)
    if _can(planned, Workload.INFER):
        return Assignment(key, Workload.INFER, Priority.INFER_RESERVE, "answers INFER")
    return Assignment(key, Workload.IDLE, Priority.IDLE, "has proved no capability to work at")


def _can(planned: PlannedDevice, workload: Workload) -> bool:
    need = NEEDS.get(workload)
    return need in planned.device.proved if need else workload is Workload.IDLE


def _reserve(planned: PlannedDevice) -> bool:
    return "infer" in planned.device.proved


def _number(assignment: Assignment, before: dict[DeviceKey, Assignment], number: int) -> Assignment:
    """Generation: the plan in which the device last changed hands, so it only ever grows."""
    old = before.get(assignment.device)
    same = old and (old.workload, old.job_id) == (assignment.workload, assignment.job_id)
    return replace(assignment, generation=old.generation if old and same else number)


def _same(one: tuple[Assignment, ...], other: tuple[Assignment, ...]) -> bool:
    """Whether a rig would do the same; the wording of a reason is no change."""
    return [replace(a, reason="") for a in one] == [replace(a, reason="") for a in other]
