"""From a wish to its confirmation, with the real store and planner over a bus in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from farmctl.config import Config
from farmctl.domain import Job, JobState, Priority, Workload
from farmctl.errors import BadRequest, BusError, Conflict, NotFound, Refused
from farmctl.executor import RESEND_SECONDS, SWITCH_SECONDS
from farmctl.farm import Farm
from farmctl.inventory import JOB_LEASE_SECONDS, SILENT_SECONDS
from farmctl.jobs import NewJob
from farmctl.messages import DeviceAck, RigPlan, ShareEvent
from farmctl.store import Transaction, audit, events, inventory, jobs, plans, policy
from tests.farmctl.farms import (
    KEY,
    RIG,
    acknowledge,
    enrol,
    event,
    progress,
    report,
    running_farm,
)


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made:
        yield made


async def rig_plan(farm: Farm) -> RigPlan:
    plan = await farm.bus.get("plans", RIG, RigPlan)
    assert plan is not None
    return plan


def new_job(**known: object) -> NewJob:
    job = {
        "customer": "c",
        "name": "digits",
        "kind": "digits-cnn",
        "parameters": {"seed": "7"},
        "interruptible": True,
        "price_micro_per_hour": 10**12,
        "total_steps": 100,
    }
    return NewJob(**(job | known))  # type: ignore[arg-type]


def no_terms(tx: Transaction, job: Job) -> None:
    """These jobs are nobody's order."""


async def test_new_device_is_told_to_mine_with_the_reserve(farm: Farm) -> None:
    plan = await enrol(farm)
    assert plan.number == 1
    line = plan.assignments[0]
    assert (line.device, line.workload, line.infer_reserve) == ("cpu:0", Workload.MINE, True)


async def test_deciding_again_makes_no_new_number(farm: Farm) -> None:
    await enrol(farm)
    await farm.decide()
    assert (await rig_plan(farm)).number == 1


async def test_switch_is_pending_until_its_rig_confirms(farm: Farm) -> None:
    await enrol(farm)
    await acknowledge(farm)
    asked = await farm.requests.switch(KEY, Workload.IDLE, True, None, "ann")
    assert (asked.state, asked.plan_number) == ("pending", 2)
    assert (await rig_plan(farm)).assignments[0].priority is Priority.MANUAL
    farm.clock.now += 1.5  # type: ignore[attr-defined]
    await acknowledge(farm)
    with farm.store.begin() as tx:
        done = policy.find_switch(tx, asked.id)
        assert audit.recent(tx, 1)[0].actor == "ann"
    assert done is not None
    assert (done.state, done.seconds) == ("confirmed", 1.5)


async def test_rig_that_cannot_fails_the_switch(farm: Farm) -> None:
    await enrol(farm)
    asked = await farm.requests.switch(KEY, Workload.INFER, True, None, "ann")
    await acknowledge(farm, "failed", "no model")
    with farm.store.begin() as tx:
        done = policy.find_switch(tx, asked.id)
    assert done is not None
    assert (done.state, done.detail) == ("failed", "no model")


async def test_request_for_what_is_there_is_confirmed_at_once(farm: Farm) -> None:
    await enrol(farm)
    await acknowledge(farm)
    farm.clock.now += 1  # type: ignore[attr-defined]
    asked = await farm.requests.unlock(KEY, "ann")
    assert asked.state == "confirmed"


async def test_later_request_supersedes_the_earlier(farm: Farm) -> None:
    await enrol(farm)
    first = await farm.requests.switch(KEY, Workload.IDLE, True, None, "ann")
    await farm.requests.pause(KEY, "bob")
    with farm.store.begin() as tx:
        old = policy.find_switch(tx, first.id)
    assert old is not None
    assert (old.state, old.detail) == ("failed", "superseded by a later request")


async def test_unconfirmed_switch_fails_in_the_end(farm: Farm) -> None:
    await enrol(farm)
    asked = await farm.requests.switch(KEY, Workload.IDLE, True, None, "ann")
    farm.clock.now += SWITCH_SECONDS + 1  # type: ignore[attr-defined]
    farm.executor.give_up()
    with farm.store.begin() as tx:
        done = policy.find_switch(tx, asked.id)
    assert done is not None
    assert done.state == "failed"


async def test_wrong_requests_change_nothing(farm: Farm) -> None:
    await enrol(farm, "cuckoo")
    with pytest.raises(NotFound):
        await farm.requests.switch("rig-a/cpu:9", Workload.IDLE, True, None, "ann")
    with pytest.raises(Refused, match="train"):
        await farm.requests.switch(KEY, Workload.TRAIN, True, None, "ann")
    with pytest.raises(Refused, match="external"):
        await farm.requests.switch(KEY, Workload.EXTERNAL, True, None, "ann")
    with pytest.raises(BadRequest, match="past"):
        await farm.requests.switch(KEY, Workload.IDLE, True, 1.0, "ann")
    with farm.store.begin() as tx:
        assert policy.wishes(tx, farm.clock()) == []
        assert policy.recent_switches(tx, 9) == []
    assert (await rig_plan(farm)).number == 1


async def test_plan_that_did_not_arrive_is_sent_again(farm: Farm) -> None:
    await enrol(farm)
    real_put = farm.bus.put

    async def broken_put(*_: object) -> None:
        raise BusError("down")

    farm.bus.put = broken_put  # type: ignore[method-assign]
    await farm.requests.switch(KEY, Workload.IDLE, True, None, "ann")
    farm.bus.put = real_put  # type: ignore[method-assign]
    assert (await rig_plan(farm)).number == 1
    await farm.executor.resend()
    assert (await rig_plan(farm)).number == 2


async def test_rig_that_does_not_follow_is_sent_its_plan_again(farm: Farm) -> None:
    await enrol(farm)
    await farm.bus.put("plans", RIG, (await rig_plan(farm)).model_copy(update={"number": 0}))
    await farm.executor.resend()
    assert (await rig_plan(farm)).number == 0
    farm.clock.now += RESEND_SECONDS + 1  # type: ignore[attr-defined]
    await farm.executor.resend()
    assert (await rig_plan(farm)).number == 1


async def test_restarted_controller_goes_on_with_the_same_plan(config: Config) -> None:
    async with running_farm(config) as farm:
        await enrol(farm)
        await farm.requests.switch(KEY, Workload.IDLE, True, None, "ann")
    async with running_farm(config) as again:
        await again.decide()
        assert again.executor.current is not None
        assert again.executor.current.number == 2
        await again.executor.resend()
        assert (await rig_plan(again)).assignments[0].workload is Workload.IDLE


async def test_plan_is_kept_with_what_the_planner_saw(farm: Farm) -> None:
    await enrol(farm)
    with farm.store.begin() as tx:
        seen = plans.inputs(tx, 1)
    assert seen is not None
    assert seen["inventory"]["devices"][0]["device"]["proved"] == ["cuckoo", "infer", "train"]
    assert set(seen) == {"policy", "inventory", "market"}


async def test_job_takes_a_device_that_was_switched_without_a_lock(farm: Farm) -> None:
    await enrol(farm)
    await farm.requests.switch(KEY, Workload.MINE, False, None, "ann")
    job = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    assert (await rig_plan(farm)).assignments[0].job_id == job.id


async def test_job_runs_is_preempted_resumes_and_is_done(farm: Farm) -> None:
    await enrol(farm)
    job = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    line = (await rig_plan(farm)).assignments[0]
    assert (line.workload, line.job_id) == (Workload.TRAIN, job.id)
    assert line.parameters == {"seed": "7", "kind": "digits-cnn", "total_steps": "100"}
    await acknowledge(farm)
    await progress(farm, job.id, line.generation, 40, checkpoint="c" * 64)
    assert farm.queue.find(job.id).job.state is JobState.RUNNING

    with pytest.raises(Refused, match="runs the sold job digits; lock it"):
        await farm.requests.switch(KEY, Workload.MINE, False, None, "ann")
    await farm.requests.switch(KEY, Workload.MINE, True, None, "ann")
    await progress(farm, job.id, line.generation, 50, JobState.PREEMPTED, checkpoint="d" * 64)
    await acknowledge(farm)
    assert farm.queue.find(job.id).preemptions == 1
    await farm.requests.unlock(KEY, "ann")
    again = (await rig_plan(farm)).assignments[0]
    assert again.job_id == job.id
    assert again.generation > line.generation
    assert again.parameters["checkpoint"] == "d" * 64

    await progress(farm, job.id, line.generation, 99)  # a straggler of before
    await progress(farm, job.id, again.generation, 100, JobState.DONE, results={"accuracy": "0.9"})
    done = farm.queue.find(job.id)
    assert (done.job.state, done.job.steps_done) == (JobState.DONE, 100)
    assert done.results == {"accuracy": "0.9"}
    await progress(farm, job.id, again.generation, 101)
    assert farm.queue.find(job.id).job.steps_done == 100
    await farm.decide()
    assert (await rig_plan(farm)).assignments[0].workload is Workload.MINE


async def test_acknowledgement_that_comes_late_takes_nothing_back(farm: Farm) -> None:
    await enrol(farm)
    mining = await rig_plan(farm)
    job = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    plan = await rig_plan(farm)
    await acknowledge(farm)
    await progress(farm, job.id, plan.assignments[0].generation, 1)
    said = report("cuckoo", "infer", "train", workload=Workload.TRAIN, plan_number=plan.number)
    await farm.keeper.receive(f"inventory.{RIG}", said)
    late = DeviceAck(
        device="cpu:0",
        plan_number=mining.number,
        workload=Workload.MINE,
        state="running",
        seconds=1,
    )
    await farm.reports.receive(event(late))
    found = farm.queue.find(job.id)
    assert (found.job.state, found.preemptions, found.job.device) == (JobState.RUNNING, 0, KEY)


async def test_repeated_event_takes_effect_once(farm: Farm) -> None:
    await enrol(farm)
    share = ShareEvent(device="cpu:0", chain="farmnet", outcome="accepted", height=1)
    for _ in range(3):
        await farm.reports.receive(event(share, "same"))
    await farm.reports.receive(event(share, "other"))
    with farm.store.begin() as tx:
        assert inventory.total_shares(tx) == inventory.Counts(2, 0, 0, 0)
    assert farm.reports.repeated == 2


async def test_event_of_a_rig_that_speaks_for_another_is_refused(farm: Farm) -> None:
    await enrol(farm)
    share = ShareEvent(device="cpu:0", chain="farmnet", outcome="accepted", height=1)
    await farm.reports.hear("event.rig-b", event(share))
    with farm.store.begin() as tx:
        assert inventory.total_shares(tx) == inventory.Counts(0, 0, 0, 0)
    assert farm.reports.refused == 1


async def test_cancelled_job_ends_and_frees_its_device(farm: Farm) -> None:
    await enrol(farm)
    job = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    cancelled = await farm.queue.cancel(job.id, "ann")
    assert cancelled.job.state is JobState.CANCELLED
    assert (await rig_plan(farm)).assignments[0].workload is Workload.MINE
    with pytest.raises(Conflict):
        await farm.queue.cancel(job.id, "ann")


async def test_sick_device_stops_and_returns(farm: Farm) -> None:
    await enrol(farm)
    for health, workload in (("needs_reset", Workload.IDLE), ("ok", Workload.MINE)):
        await farm.keeper.receive(f"inventory.{RIG}", report("cuckoo", health=health))
        await farm.decide_if_dirty()
        assert (await rig_plan(farm)).assignments[0].workload is workload


async def test_silent_rig_is_offline_and_loses_its_job_at_last(farm: Farm) -> None:
    await enrol(farm)
    job = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    farm.clock.now += SILENT_SECONDS + 1  # type: ignore[attr-defined]
    farm.keeper.look_for_silence()
    assert farm.queue.find(job.id).job.device == KEY
    assert [a.rule for a in farm.alerts.check()] == ["rig_silent"]
    assert farm.alerts.check() == []
    farm.clock.now += JOB_LEASE_SECONDS  # type: ignore[attr-defined]
    farm.keeper.look_for_silence()
    assert farm.queue.find(job.id).job.device is None


async def test_rig_cannot_speak_for_another(farm: Farm) -> None:
    await farm.keeper.receive("inventory.rig-b", report("cuckoo"))
    with farm.store.begin() as tx:
        assert inventory.rigs(tx) == []
    assert farm.keeper.refused == 1


async def test_old_records_are_forgotten_and_files_in_use_stay(farm: Farm) -> None:
    await enrol(farm)
    job = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    line = (await rig_plan(farm)).assignments[0]
    folder = farm.artifacts.folder
    folder.mkdir(parents=True)
    for name in ("c" * 64, "d" * 64):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (0, 0))
    await progress(farm, job.id, line.generation, 1, checkpoint="c" * 64)
    farm.tell("test", "x", "old")
    farm.clock.now += 100 * 86_400  # type: ignore[attr-defined]
    farm.prune()
    with farm.store.begin() as tx:
        assert events.recent(tx, 10) == []
        assert plans.latest(tx) is not None
    assert [path.name for path in folder.iterdir()] == ["c" * 64]


async def test_ended_job_is_forgotten_late_and_one_that_runs_never(farm: Farm) -> None:
    await enrol(farm)
    ended = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    line = (await rig_plan(farm)).assignments[0]
    await progress(farm, ended.id, line.generation, 100, JobState.DONE)
    waits = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    farm.clock.now += (farm.config.store.job_days - 1) * 86_400  # type: ignore[attr-defined]
    farm.prune()
    assert farm.queue.find(ended.id).job.state is JobState.DONE
    farm.clock.now += 2 * 86_400  # type: ignore[attr-defined]
    farm.prune()
    with farm.store.begin() as tx:
        assert [record.job.id for record in jobs.recent(tx, 10)] == [waits.id]
        assert jobs.losses(tx, ended.id) == []


async def test_loss_curve_stays_bounded_from_its_first_to_its_last_point(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CURVE_LIMIT", 20)
    await enrol(farm)
    job = (await farm.queue.submit(new_job(), "ann", no_terms)).job
    line = (await rig_plan(farm)).assignments[0]
    for step in range(1, 61):
        await progress(farm, job.id, line.generation, step)
    with farm.store.begin() as tx:
        curve = [step for step, _ in jobs.losses(tx, job.id)]
    assert len(curve) <= 20
    assert (curve[0], curve[-1]) == (1, 60)


async def test_altered_audit_log_is_told(farm: Farm) -> None:
    await enrol(farm)
    await farm.requests.switch(KEY, Workload.IDLE, True, None, "ann")
    await farm.check_audit()
    with farm.store.begin() as tx:
        assert [e.event.kind for e in events.recent(tx, 9)] == ["device"]
        tx.execute(text("UPDATE audit SET actor = 'bob'"))
    await farm.check_audit()
    with farm.store.begin() as tx:
        told = events.recent(tx, 1)[0].event
    assert (told.kind, told.level) == ("audit", "error")


async def test_switch_that_something_stronger_outdoes_is_no_success(farm: Farm) -> None:
    await enrol(farm)
    await acknowledge(farm)
    asked = await farm.requests.switch(KEY, Workload.TRAIN, True, None, "ann")
    await acknowledge(farm)
    with farm.store.begin() as tx:
        done = policy.find_switch(tx, asked.id)
    assert done is not None and done.state == "failed"
    assert done.detail == (
        "it does idle for now: locked to train by ann; waits for a job. The wish is kept"
    )
