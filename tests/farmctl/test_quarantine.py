"""A device whose inference differs from the reference is kept from work until it is cleared."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from farmctl.config import Config
from farmctl.domain import QUARANTINE_SECONDS, Priority, Workload
from farmctl.errors import Refused
from farmctl.farm import Farm
from farmctl.messages import INFER_MISMATCH, AssignmentMessage, FaultEvent, RigPlan
from farmctl.store import audit, policy
from tests.farmctl.farms import DEVICE, KEY, RIG, acknowledge, client, enrol, event, running_farm

MISMATCH = FaultEvent(
    device=DEVICE, code=INFER_MISMATCH, step="quarantine", detail="gave a wrong result: model ab"
)


@pytest.fixture
async def farm(config: Config) -> AsyncIterator[Farm]:
    async with running_farm(config) as made:
        yield made


async def line(farm: Farm) -> AssignmentMessage:
    await farm.decide_if_dirty()
    plan = await farm.bus.get("plans", RIG, RigPlan)
    assert plan is not None
    return plan.assignments[0]


async def test_mismatch_takes_every_work_and_the_reserve_from_the_device(farm: Farm) -> None:
    await enrol(farm)
    assert (await line(farm)).infer_reserve
    await farm.reports.receive(event(MISMATCH))
    told = await line(farm)
    assert (told.workload, told.priority, told.infer_reserve, told.quarantined) == (
        Workload.IDLE,
        Priority.SAFETY,
        False,
        True,
    )
    with farm.store.begin() as tx:
        shown = farm.views.device(tx, KEY)
    assert shown is not None and shown.quarantined
    assert (shown.state, shown.reason) == (
        "attention",
        "quarantined: gave a wrong result: model ab",
    )


async def test_neither_a_lock_nor_a_restart_ends_it(farm: Farm, config: Config) -> None:
    await enrol(farm)
    await farm.reports.receive(event(MISMATCH))
    await farm.decide_if_dirty()
    await acknowledge(farm)
    farm.clock.now += 1  # type: ignore[attr-defined]
    asked = await farm.requests.switch(KEY, Workload.MINE, True, None, "ann")
    assert (await line(farm)).quarantined
    with farm.store.begin() as tx:
        answer = policy.find_switch(tx, asked.id)
    assert answer is not None and answer.state == "failed"
    assert answer.detail.startswith("it does idle for now: quarantined: gave a wrong result")
    async with running_farm(config) as again:
        assert again.executor.current is not None
        assert again.executor.current.assignments[0].quarantined
        with again.store.begin() as tx:
            assert KEY in again.requests.rules(tx).quarantined


async def test_a_person_clears_it(farm: Farm) -> None:
    await enrol(farm)
    await farm.reports.receive(event(MISMATCH))
    await farm.decide_if_dirty()
    await acknowledge(farm)
    async with client(farm) as http:
        answer = await http.post(f"/v1/devices/{KEY}/clear")
        assert answer.status_code == 200, answer.text
        assert (answer.json()["action"], answer.json()["state"]) == ("clear", "pending")
        told = await line(farm)
        assert (told.workload, told.quarantined) == (Workload.MINE, False)
        await acknowledge(farm)
        done = (await http.get(f"/v1/switches/{answer.json()['id']}")).json()
        assert done["state"] == "confirmed"
    with farm.store.begin() as tx:
        assert [e.action for e in audit.recent(tx, 1)] == ["clear"]


async def test_only_a_quarantined_device_can_be_cleared(farm: Farm) -> None:
    await enrol(farm)
    with pytest.raises(Refused, match="not in quarantine"):
        await farm.requests.clear(KEY, "ann")


async def test_other_faults_and_unknown_devices_quarantine_nothing(farm: Farm) -> None:
    await enrol(farm)
    lost = {"code": "device_lost", "step": "restart_runner"}
    await farm.reports.receive(event(MISMATCH.model_copy(update=lost)))
    await farm.reports.receive(event(MISMATCH.model_copy(update={"device": "cpu:9"})))
    assert not (await line(farm)).quarantined
    with farm.store.begin() as tx:
        assert not farm.requests.rules(tx).quarantined


async def test_too_many_faults_quarantine_for_a_while(farm: Farm) -> None:
    await enrol(farm)
    await farm.reports.receive(event(MISMATCH.model_copy(update={"code": "device_lost"})))
    assert (await line(farm)).quarantined
    farm.clock.now += QUARANTINE_SECONDS + 1  # type: ignore[attr-defined]
    with farm.store.begin() as tx:
        assert not farm.requests.rules(tx).quarantined


async def test_faults_do_not_shorten_a_quarantine_for_wrong_results(farm: Farm) -> None:
    await enrol(farm)
    await farm.reports.receive(event(MISMATCH))
    await farm.reports.receive(event(MISMATCH.model_copy(update={"code": "device_lost"})))
    farm.clock.now += QUARANTINE_SECONDS + 1  # type: ignore[attr-defined]
    with farm.store.begin() as tx:
        assert KEY in farm.requests.rules(tx).quarantined
