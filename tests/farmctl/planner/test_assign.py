"""The planner's promises, over inventories, policies and job queues that hypothesis invents."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmctl.domain import Device, Job, JobState, Plan, Priority, Wish, Workload
from farmctl.planner import Inventory, Market, PlannedDevice, Policy, plan
from farmctl.planner.assign import ABLE, NEEDS

NOW = 1_000_000.0
CAPABILITIES = ("cuckoo", "infer", "train")
WORKLOADS = (Workload.MINE, Workload.INFER, Workload.TRAIN, Workload.IDLE)


def device(
    index: int = 0,
    proved: frozenset[str] = frozenset(CAPABILITIES),
    health: str = "ok",
    offline: bool = False,
    workload: Workload = Workload.IDLE,
    since: float = 0.0,
    graphs_per_second: float | None = 100.0,
    switch_seconds: float | None = 1.0,
) -> PlannedDevice:
    known = Device(
        key=f"rig-{index % 2}/cpu:{index}",
        rig=f"rig-{index % 2}",
        id=f"cpu:{index}",
        hardware_id=f"h{index}",
        family="cpu",
        model="test",
        capabilities=proved,
        proved=proved,
        health=health,
        health_reason="",
        workload=workload,
    )
    return PlannedDevice(
        known, offline, since, graphs_per_second, None, switch_seconds=switch_seconds
    )


def job(index: int = 0, interruptible: bool = True, price: int = 10**9, **known: object) -> Job:
    made = Job(
        id=f"job-{index}",
        customer="c",
        name=f"name {index}",
        kind="digits-cnn",
        parameters={},
        state=JobState.QUEUED,
        interruptible=interruptible,
        price_micro_per_hour=price,
        created=float(index),
        total_steps=10,
        steps_done=0,
        device_seconds=0.0,
    )
    return replace(made, **known)  # type: ignore[arg-type]


def market(*jobs: Job, coin_price_micro: int = 1000) -> Market:
    return Market(coin_price_micro, 7.0, 4200.0, 250_000, jobs)


@st.composite
def farms(draw: st.DrawFn) -> tuple[Policy, Inventory, Market]:
    count = draw(st.integers(1, 5))
    devices = tuple(
        device(
            index,
            frozenset(draw(st.sets(st.sampled_from(CAPABILITIES)))),
            draw(st.sampled_from(["ok", "ok", "degraded", "needs_reset", "lost"])),
            draw(st.integers(0, 5)) == 0,
            since=draw(st.floats(0, NOW)),
            graphs_per_second=draw(st.none() | st.floats(0.1, 1e4)),
        )
        for index in range(count)
    )
    keys = [d.device.key for d in devices]
    wished = draw(st.lists(st.sampled_from(keys), unique=True))
    wishes = tuple(
        Wish(key, draw(st.sampled_from(WORKLOADS)), draw(st.booleans()), "ann", NOW - 1, None)
        for key in wished
    )
    paused = {key: "bob" for key in draw(st.lists(st.sampled_from(keys), unique=True, max_size=1))}
    prices = st.integers(0, 10**10)
    jobs = [
        job(index, draw(st.booleans()), draw(prices)) for index in range(draw(st.integers(0, 6)))
    ]
    return Policy(wishes, paused), Inventory(devices), market(*jobs)


def held(made: Plan, known: Market) -> Market:
    """The market once the executor has noted which device holds each job."""
    places = {a.job_id: a.device for a in made.assignments if a.job_id}
    return replace(
        known, jobs=tuple(replace(j, device=places.get(j.id, j.device)) for j in known.jobs)
    )


@given(farms())
def test_every_device_has_one_assignment_with_a_reason(farm) -> None:  # type: ignore[no-untyped-def]
    policy, inventory, prices = farm
    made = plan(policy, inventory, prices, NOW, None)
    assert sorted(a.device for a in made.assignments) == sorted(
        d.device.key for d in inventory.devices
    )
    assert all(a.reason for a in made.assignments)


@given(farms())
def test_no_job_twice_and_never_two_on_a_device(farm) -> None:  # type: ignore[no-untyped-def]
    policy, inventory, prices = farm
    first = plan(policy, inventory, prices, NOW, None)
    second = plan(policy, inventory, held(first, prices), NOW + 1, first)
    for made in (first, second):
        placed = [a.job_id for a in made.assignments if a.job_id]
        assert len(placed) == len(set(placed))


@given(farms())
def test_same_inputs_give_the_same_plan_and_again_changes_nothing(farm) -> None:  # type: ignore[no-untyped-def]
    policy, inventory, prices = farm
    first = plan(policy, inventory, prices, NOW, None)
    assert plan(policy, inventory, prices, NOW, None) == first
    assert plan(policy, inventory, held(first, prices), NOW + 1, first) is first


@given(farms())
def test_lock_holds_against_everything_but_safety(farm) -> None:  # type: ignore[no-untyped-def]
    policy, inventory, prices = farm
    made = {a.device: a for a in plan(policy, inventory, prices, NOW, None).assignments}
    known = {d.device.key: d for d in inventory.devices}
    for wish in policy.wishes:
        planned, got = known[wish.device], made[wish.device]
        if planned.offline or planned.device.health not in ABLE:
            assert (got.workload, got.priority) == (Workload.IDLE, Priority.SAFETY)
        elif wish.device in policy.paused:
            assert (got.workload, got.priority) == (Workload.IDLE, Priority.MANUAL)
            assert got.paused
        elif wish.locked:
            need = NEEDS.get(wish.workload)
            assert got.priority is Priority.MANUAL
            waits = wish.workload is Workload.TRAIN and got.job_id is None
            able = need is None or need in planned.device.proved
            assert got.workload is (wish.workload if able and not waits else Workload.IDLE)


@given(farms())
def test_device_works_only_at_what_it_has_proved(farm) -> None:  # type: ignore[no-untyped-def]
    policy, inventory, prices = farm
    known = {d.device.key: d.device for d in inventory.devices}
    for got in plan(policy, inventory, prices, NOW, None).assignments:
        need = NEEDS.get(got.workload)
        assert need is None or need in known[got.device].proved
        assert not got.infer_reserve or "infer" in known[got.device].proved


@given(farms(), st.randoms())
@settings(max_examples=50)
def test_generation_only_grows_and_only_when_the_device_changes_hands(farm, random) -> None:  # type: ignore[no-untyped-def]
    policy, inventory, prices = farm
    first = plan(policy, inventory, prices, NOW, None)
    other = replace(policy, wishes=tuple(random.sample(policy.wishes, len(policy.wishes) // 2)))
    second = plan(other, inventory, held(first, prices), NOW + 1, first)
    before = {a.device: a for a in first.assignments}
    for got in second.assignments:
        old = before[got.device]
        if (old.workload, old.job_id) == (got.workload, got.job_id):
            assert got.generation == old.generation
        else:
            assert got.generation == second.number > old.generation


def test_interruptible_job_yields_to_a_contract() -> None:
    one, cheap = Inventory((device(),)), job(0)
    first = plan(Policy(), one, market(cheap), NOW, None)
    assert first.assignments[0].job_id == cheap.id
    contract = job(1, interruptible=False, price=1)
    second = plan(Policy(), one, held(first, market(cheap, contract)), NOW + 1, first)
    assert second.assignments[0].job_id == contract.id
    assert second.assignments[0].priority is Priority.CONTRACT


def test_job_is_not_given_away_before_its_device_lets_go() -> None:
    two, only = Inventory((device(0), device(1))), job(0)
    first = plan(Policy(), two, market(only), NOW, None)
    holder = next(a.device for a in first.assignments if a.job_id)
    lock = Policy(wishes=(Wish(holder, Workload.IDLE, True, "ann", NOW),))
    running = market(replace(only, device=holder, state=JobState.RUNNING))
    second = plan(lock, two, running, NOW + 1, first)
    assert not [a for a in second.assignments if a.job_id]
    let_go = market(replace(only, device=None, state=JobState.PREEMPTED))
    third = plan(lock, two, let_go, NOW + 2, second)
    taken = next(a for a in third.assignments if a.job_id)
    assert taken.device != holder
    assert taken.generation == third.number


def test_silent_rig_keeps_its_plan_and_its_job() -> None:
    only = job(0)
    first = plan(Policy(), Inventory((device(),)), market(only), NOW, None)
    silent = Inventory((replace(device(), offline=True),))
    assert plan(Policy(), silent, held(first, market(only)), NOW + 1, first) is first


def _mining_net(coin_price_micro: int) -> int:
    """At 100 graphs/s and 4200 graphs a block: 85.7 blocks an hour of 7 coins."""
    return round(100 * 3600 / 4200 * 7.0 * coin_price_micro)


def test_small_gain_does_not_take_a_running_job_off() -> None:
    price = _mining_net(1000)
    only = job(0, price=price)
    working = replace(device(), workload_since=NOW - 10_000)
    first = plan(Policy(), Inventory((working,)), market(only), NOW, None)
    assert first.assignments[0].job_id == only.id
    slightly_better = held(first, market(only, coin_price_micro=1090))
    assert plan(Policy(), Inventory((working,)), slightly_better, NOW + 1, first) is first
    much_better = held(first, market(only, coin_price_micro=1500))
    second = plan(Policy(), Inventory((working,)), much_better, NOW + 1, first)
    assert second.assignments[0].workload is Workload.MINE
    just_begun = replace(working, workload_since=NOW - 10)
    assert plan(Policy(), Inventory((just_begun,)), much_better, NOW + 1, first) is first
    costly = replace(working, switch_seconds=36_000.0)
    assert plan(Policy(), Inventory((costly,)), much_better, NOW + 1, first) is first


def test_job_below_mining_is_not_taken() -> None:
    cheap = job(0, price=_mining_net(1000) - 1)
    made = plan(Policy(), Inventory((device(),)), market(cheap), NOW, None)
    assert made.assignments[0].workload is Workload.MINE


@pytest.mark.parametrize("interruptible", [True, False])
def test_push_without_a_lock_yields_to_sold_work(interruptible: bool) -> None:
    policy = Policy(wishes=(Wish("rig-0/cpu:0", Workload.IDLE, False, "ann", NOW, NOW + 60),))
    one = Inventory((device(),))
    pushed = plan(policy, one, market(), NOW, None).assignments[0]
    assert (pushed.workload, pushed.priority) == (Workload.IDLE, Priority.IDLE)
    assert pushed.reason == "switched to idle by ann; not locked, so sold work comes first"
    sold = plan(policy, one, market(job(0, interruptible)), NOW, None).assignments[0]
    assert sold.job_id == "job-0"


def test_wish_runs_out() -> None:
    wish = Wish("rig-0/cpu:0", Workload.IDLE, False, "ann", NOW, NOW + 60)
    policy, one = Policy(wishes=(wish,)), Inventory((device(),))
    first = plan(policy, one, market(), NOW, None)
    assert first.assignments[0].workload is Workload.IDLE
    assert plan(policy, one, market(), NOW + 61, first).assignments[0].workload is Workload.MINE


def test_device_kept_for_training_takes_the_best_job() -> None:
    policy = Policy(wishes=(Wish("rig-0/cpu:0", Workload.TRAIN, True, "ann", NOW),))
    made = plan(policy, Inventory((device(),)), market(job(0, price=1), job(1, price=2)), NOW, None)
    assert made.assignments[0].job_id == "job-1"
