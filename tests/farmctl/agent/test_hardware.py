"""The agent hears of devices that come and go, without waiting for its next look."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest

from farmctl.agent import loop
from farmctl.agent.hardware import DriverHardware
from farmctl.agent.link import BusLink
from farmctl.agent.loop import Agent
from farmctl.config import Config
from farmctl.sections import FarmSection
from tests.farmctl.rig_bench import until

FAMILY = """
from drivers.base import DeviceInfo, Health, HealthStatus, Probe, ProbeStatus, read_telemetry

plugged = []
callbacks = []


class Stick:
    info = DeviceInfo("plug:0", "serial-1", "plug", "A plug", frozenset())

    def snapshot(self):
        return read_telemetry("plug:0", {}, "a plug has no sensor")

    def health(self):
        return Health(HealthStatus.OK)


class Driver:
    family = "plug"

    def probe(self):
        return Probe(ProbeStatus.PASS if plugged else ProbeStatus.ABSENT, "")

    def discover(self):
        return tuple(plugged)

    def watch(self, callback):
        callbacks.append(callback)
        return callbacks.clear
"""


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A family whose one device the test plugs in."""
    folder = tmp_path / "families" / "plug"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "driver.py").write_text(FAMILY)
    import drivers

    monkeypatch.setattr(drivers, "__path__", [*drivers.__path__, str(folder.parent)])
    return importlib.import_module("drivers.plug.driver")


async def test_a_device_is_found_when_its_family_says_so(
    family: Any, tmp_path: Path, link: BusLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_SECONDS", 3600.0)
    config = Config(home=tmp_path, farm=FarmSection(rig="rig1"))
    agent = Agent(config, link, DriverHardware())
    running = asyncio.create_task(agent.run())
    try:
        await until(lambda: bool(family.callbacks))
        await until(lambda: "cpu:0" in agent.device_ids)
        assert "plug:0" not in agent.device_ids
        family.plugged.append(family.Stick())
        family.callbacks[0]("add ttyACM0")
        await until(lambda: "plug:0" in agent.device_ids)
        family.plugged.clear()
        family.callbacks[0]("remove ttyACM0")
        await until(lambda: "plug:0" in agent._lost)
        lost = agent._lost["plug:0"]
        assert (lost.health, lost.workload, lost.job_id) == ("lost", "idle", None)
        assert len(family.callbacks) == 1, "one watch a family, however often it is looked at"
    finally:
        running.cancel()
        await asyncio.wait([running])
