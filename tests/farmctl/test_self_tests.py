"""A device that computes wrongly is refused, and the dashboard's API says why: through the agent,
the bus, the controller and the API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from farmctl.agent.hardware import DriverHardware
from farmctl.agent.link import BusLink
from farmctl.agent.loop import Agent
from farmctl.bus import Bus
from farmctl.config import Config
from farmctl.farm import Farm
from farmctl.messages import RigPlan
from tests.farmctl.farms import RIG, client, running_farm

FAMILIES = Path(__file__).parent / "workloads" / "families"
DEVICE = "faulty:0"


async def show(farm: Farm, device: str) -> dict[str, Any]:
    async with client(farm) as http:
        answer = await http.get(f"/v1/devices/{RIG}/{device}")
    return dict(answer.json()) if answer.status_code == 200 else {}


async def shown_with_tests(farm: Farm, device: str) -> dict[str, Any]:
    """The device as the API shows it, once it has been put to its tests."""
    async with asyncio.timeout(90):
        while True:
            shown = await show(farm, device)
            if len(shown.get("self_tests", ())) == len(shown.get("capabilities", "?")):
                return shown
            await asyncio.sleep(0.1)


async def test_a_wrong_known_answer_is_shown_and_keeps_a_device_from_work(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARMCTL_DRIVERS", str(FAMILIES))
    monkeypatch.setenv("FAULTY_WAY", "wrong")
    monkeypatch.setattr("farmctl.agent.child.LEAVE_SECONDS", 1.0)
    monkeypatch.setenv("FARMCTL_HOME", str(config.home))
    monkeypatch.setenv("FARMCTL_BUS_PORT", str(config.bus.port))
    async with running_farm(config) as farm:

        async def connect() -> Bus:
            return farm.bus

        link = BusLink(connect)
        link.start()
        agent = asyncio.create_task(Agent(config, link, DriverHardware()).run())
        try:
            shown = await shown_with_tests(farm, DEVICE)
            sound = await shown_with_tests(farm, "cpu:0")
            await farm.decide_if_dirty()
            plan = await farm.bus.get("plans", RIG, RigPlan)
        finally:
            agent.cancel()
            await asyncio.wait([agent])
            await link.close()
    test = next(t for t in shown["self_tests"] if t["capability"] == "cuckoo")
    assert not test["passed"]
    assert "known" in test["detail"] or "cycle" in test["detail"], test
    assert shown["state"] == "attention"
    assert shown["reason"] == f"self-test cuckoo failed: {test['detail']}"
    assert sound["state"] == "healthy"
    assert plan is not None
    lines = {one.device: one for one in plan.assignments}
    assert lines[DEVICE].workload == "idle"
    assert lines["cpu:0"].workload != "idle"
