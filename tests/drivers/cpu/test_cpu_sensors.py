"""Readings of the processors: RAPL from a tree of its own, the rest from this machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from drivers.base import TELEMETRY_FIELDS
from drivers.cpu.driver import Driver
from drivers.cpu.sensors import Sensors
from drivers.errors import NotSupported


@pytest.fixture
def zones(tmp_path: Path) -> list[Path]:
    """Energy counters of two packages, and of a core domain that belongs to the first."""
    made = []
    for name, microjoules in (("intel-rapl:0", 5_000_000), ("intel-rapl:1", 7_000_000)):
        zone = tmp_path / "sys/class/powercap" / name
        zone.mkdir(parents=True)
        (zone / "energy_uj").write_text(f"{microjoules}\n")
        made.append(zone)
    core = tmp_path / "sys/class/powercap/intel-rapl:0:0"
    core.mkdir()
    (core / "energy_uj").write_text("999999999\n")
    return made


def test_energy_is_the_sum_of_packages(zones: list[Path], tmp_path: Path) -> None:
    assert Sensors(tmp_path).read_energy() == 12


def test_power_needs_two_readings(zones: list[Path], tmp_path: Path) -> None:
    sensors = Sensors(tmp_path)
    with pytest.raises(NotSupported, match="second reading"):
        sensors.read_power()
    started = time.monotonic()
    time.sleep(0.02)
    (zones[0] / "energy_uj").write_text("6000000\n")
    watts = sensors.read_power()
    assert 0 < watts <= 1 / 0.02
    assert watts == pytest.approx(1 / (time.monotonic() - started), rel=0.5)


def test_counter_that_starts_again_is_no_power(zones: list[Path], tmp_path: Path) -> None:
    sensors = Sensors(tmp_path)
    with pytest.raises(NotSupported):
        sensors.read_power()
    (zones[0] / "energy_uj").write_text("12\n")
    with pytest.raises(NotSupported, match="started again"):
        sensors.read_power()


def test_no_counter(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="no RAPL"):
        Sensors(tmp_path).read_energy()


def test_second_reading_is_complete() -> None:
    device = Driver().discover()[0]
    assert "second reading" in device.snapshot().missing["utilisation_ratio"]
    sum(range(2_000_000))
    reading = device.snapshot()
    assert set(reading.values) | set(reading.missing) == set(TELEMETRY_FIELDS)
    assert 0 < reading.values["memory_used_bytes"] < reading.values["memory_total_bytes"]
    assert 0 <= reading.values["utilisation_ratio"] <= 1


def test_identity_is_stable() -> None:
    first, second = (Driver().discover()[0].info for _ in range(2))
    assert first.hardware_id == second.hardware_id
    assert first.details["isa"] in ("baseline", "avx2", "avx512")
