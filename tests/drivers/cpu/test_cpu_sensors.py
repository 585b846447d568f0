"""Readings of the processors: RAPL from a tree of its own, the rest from this machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from drivers.base import TELEMETRY_FIELDS
from drivers.cpu.driver import Driver
from drivers.cpu.sensors import Sensors
from drivers.errors import NotSupported, PermissionDenied


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


def write(root: Path, name: str, value: int) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(f"{value}\n")


def test_memory_errors_and_throttling_are_counted(tmp_path: Path) -> None:
    for controller in (0, 1):
        write(tmp_path, f"sys/devices/system/edac/mc/mc{controller}/ce_count", 3)
        write(tmp_path, f"sys/devices/system/edac/mc/mc{controller}/ue_count", controller)
        name = f"sys/devices/system/cpu/cpu{controller}/thermal_throttle/package_throttle_count"
        write(tmp_path, name, 7)
    values = Driver(tmp_path).discover()[0].snapshot().values
    assert (values["ecc_corrected_count"], values["ecc_uncorrected_count"]) == (6, 1)
    assert values["throttle_count"] == 7


def test_without_such_counters_it_says_why(tmp_path: Path) -> None:
    missing = Driver(tmp_path).discover()[0].snapshot().missing
    assert "EDAC" in missing["ecc_corrected_count"]
    assert "throttling" in missing["throttle_count"]


def test_power_limit_and_clock_are_set_and_put_back(zones: list[Path], tmp_path: Path) -> None:
    for zone in zones:
        write(zone, "constraint_0_max_power_uw", 100_000_000)
        write(zone, "constraint_0_power_limit_uw", 90_000_000)
    policy = tmp_path / "sys/devices/system/cpu/cpufreq/policy0"
    for name, kilohertz in (("cpuinfo_min", 800_000), ("cpuinfo_max", 4_000_000)):
        write(policy, f"{name}_freq", kilohertz)
    write(policy, "scaling_max_freq", 4_000_000)
    device = Driver(tmp_path).discover()[0]
    assert device.settings() == {"power_limit_watts": 180, "clock_hertz": None}
    assert device.apply("power_limit_watts", 120).read_back == 120
    assert device.apply("power_limit_watts", 1).read_back == 50, "clamped"
    assert device.apply("clock_hertz", 3e9).read_back == 3e9
    assert (policy / "scaling_max_freq").read_text() == "3000000\n"
    device.restore()
    assert device.settings() == {"power_limit_watts": 180, "clock_hertz": None}


def test_a_virtual_machine_has_no_controls(tmp_path: Path) -> None:
    assert Driver(tmp_path).discover()[0].limits() == {}


def test_a_bound_that_may_not_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "sys/devices/system/cpu/cpufreq/policy0"
    for name in ("cpuinfo_min_freq", "cpuinfo_max_freq", "scaling_max_freq"):
        write(policy, name, 4_000_000)

    def refuse(self: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied")

    device = Driver(tmp_path).discover()[0]
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(PermissionDenied, match="root"):
        device.apply("clock_hertz", 3e9)
