"""Families are looked at side by side; one that hangs is told and hinders no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_nvml import Machine
from nvml_fixtures import library, machine

from drivers import registry
from drivers.base import Device, HealthStatus, ProbeStatus
from drivers.survey import Survey
from farmctl.agent.sampler import Sampler

__all__ = ["library", "machine"]

HANGING = """
import threading
from drivers.base import Probe, ProbeStatus

release = threading.Event()
asked = []

class Driver:
    family = "stuck"

    def probe(self):
        asked.append(1)
        release.wait(30)
        return Probe(ProbeStatus.ABSENT, "nothing of it here")

    def watch(self, callback):
        return None
"""


def test_a_family_that_hangs_is_told_and_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stuck").mkdir()
    (tmp_path / "stuck/__init__.py").touch()
    (tmp_path / "stuck/driver.py").write_text(HANGING)
    monkeypatch.setattr("drivers.__path__", [*registry.drivers.__path__, str(tmp_path)])
    survey = Survey(family_seconds=3.0)
    for _ in range(2):
        found = {family.name: family for family in survey.look()}
        assert found["stuck"].probe.status is ProbeStatus.BROKEN
        assert "has not answered" in found["stuck"].probe.reason
        assert found["cpu"].devices
    from drivers.stuck import driver  # type: ignore[import-not-found]

    assert len(driver.asked) == 1
    driver.release.set()
    found = {family.name: family for family in survey.look()}
    assert found["stuck"].probe.status is ProbeStatus.ABSENT


def test_a_hung_gpu_is_lost_in_time_and_no_other_is(machine: Machine) -> None:
    """A call that sleeps in NVIDIA's library, as with a GPU that is about to fall off the bus."""
    devices: list[Device] = list(registry.driver("cuda").discover())
    samplers = [Sampler(device, period_seconds=0.02, hang_seconds=0.3) for device in devices]
    for sampler in samplers:
        sampler.start()
    try:
        _wait_for(lambda: all(sampler.newest() for sampler in samplers))
        machine.gpus[0].hang_ms = 2_000
        began = time.monotonic()
        _wait_for(lambda: samplers[0].health().status is HealthStatus.LOST)
        assert time.monotonic() - began < 1.0
        before = samplers[1].newest()
        _wait_for(lambda: samplers[1].newest() is not before)
        assert samplers[1].health().status is HealthStatus.OK
        machine.gpus[0].hang_ms = 0
        _wait_for(lambda: samplers[0].health().status is HealthStatus.OK)
    finally:
        machine.gpus[0].hang_ms = 0
        for sampler in samplers:
            sampler.stop()
        _wait_for(lambda: not any("telemetry-" in t.name for t in threading.enumerate()))


def _wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
