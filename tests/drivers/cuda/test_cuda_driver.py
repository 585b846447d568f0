"""The CUDA family over the real pynvml, with a fake libnvidia-ml below it."""

from __future__ import annotations

import time
from pathlib import Path

import pynvml
import pytest
from fake_nvml import Machine
from nvml_fixtures import build, library, machine

from drivers.base import TELEMETRY_FIELDS, Capability, HealthStatus, ProbeStatus
from drivers.cuda.driver import CudaDevice, Driver
from drivers.errors import (
    BadArgument,
    DeadlineExceeded,
    DeviceLost,
    NotSupported,
    PermissionDenied,
)

__all__ = ["library", "machine"]

LOST, NO_PERMISSION, RESET_REQUIRED, TIMEOUT = 15, 4, 16, 10
DRIVER_NOT_LOADED, VERSION_MISMATCH = 9, 18


@pytest.fixture
def devices(machine: Machine) -> list[CudaDevice]:
    return list(Driver().discover())


def test_finds_both(devices: list[CudaDevice], machine: Machine) -> None:
    assert [d.info.id for d in devices] == ["cuda:0", "cuda:1"]
    assert [d.info.model for d in devices] == ["NVIDIA GeForce RTX 3090", "NVIDIA H100 80GB HBM3"]
    assert devices[0].info.parent == "00000000:01:00.0"
    assert devices[0].info.details["pci_id"] == "10de:2204"
    assert devices[1].info.memory_bytes == 80 << 30
    assert devices[1].info.driver_version == "580.65.06"
    assert not devices[1].info.capabilities
    assert Driver().probe().status is ProbeStatus.PASS


def test_says_why_it_cannot_search(devices: list[CudaDevice]) -> None:
    """No CUDA driver is below CuPy here, or CuPy itself is absent."""
    device = devices[0]
    assert not device.info.capabilities
    assert "CuPy" in device.info.details["cuckoo"]
    with pytest.raises(NotSupported, match="cuda:0 has no capability cuckoo: CuPy"):
        device.open(Capability.CUCKOO)
    assert device.variants(Capability.CUCKOO, 29)[0] == {}
    assert device.variants(Capability.INFER, 29) == ({},)


def test_reads_in_si_units(devices: list[CudaDevice]) -> None:
    values = devices[1].snapshot().values
    assert values["power_watts"] == 450
    assert values["energy_joules"] == 5000
    assert values["clock_hertz"] == 1695e6
    assert values["utilisation_ratio"] == 0.97
    assert values["memory_temperature_celsius"] == 70
    assert values["memory_utilisation_ratio"] == 0.4
    assert values["pcie_receive_bytes_per_second"] == 2000 * 1024
    assert values["pcie_send_bytes_per_second"] == 1000 * 1024
    assert values["process_count"] == 0


def test_missing_readings_have_their_reason(devices: list[CudaDevice]) -> None:
    geforce, hopper = (d.snapshot() for d in devices)
    never = {"link_error_count", "throttle_count", "voltage_volts"}
    no_ecc = {"ecc_corrected_count", "ecc_uncorrected_count", "retired_memory_count"}
    assert set(geforce.missing) == no_ecc | {"memory_temperature_celsius", *never}
    assert set(hopper.missing) == {"fan_ratio", *never}
    assert "no such function" in hopper.missing["fan_ratio"]
    assert set(geforce.values) | set(geforce.missing) == set(TELEMETRY_FIELDS)


def test_power_limit_is_clamped_read_back_and_restored(
    devices: list[CudaDevice], machine: Machine
) -> None:
    geforce = devices[0]
    applied = geforce.apply("power_limit_watts", 20)
    assert (applied.before, applied.requested, applied.read_back) == (350, 20, 100)
    assert machine.gpus[0].limit_mw == 100_000
    assert geforce.snapshot().values["power_limit_watts"] == 100
    geforce.restore()
    assert machine.gpus[0].limit_mw == 350_000


def test_power_limit_that_reverts_is_seen(devices: list[CudaDevice], machine: Machine) -> None:
    machine.gpus[0].reverts_power = 1
    assert devices[0].apply("power_limit_watts", 200).read_back == 350


def test_original_limit_survives_a_new_discovery(machine: Machine) -> None:
    driver = Driver()
    driver.discover()[0].apply("power_limit_watts", 150)
    driver.discover()[0].restore()
    assert machine.gpus[0].limit_mw == 350_000


def test_no_permission(devices: list[CudaDevice], machine: Machine) -> None:
    machine.gpus[0].may_set_power = 0
    with pytest.raises(PermissionDenied, match="root"):
        devices[0].apply("power_limit_watts", 200)
    assert machine.gpus[0].limit_mw == 350_000


def test_gpu_without_power_limit(devices: list[CudaDevice], machine: Machine) -> None:
    machine.gpus[0].maximum_mw = 0
    assert "power_limit_watts" not in devices[0].limits()
    with pytest.raises(NotSupported):
        devices[0].apply("power_limit_watts", 200)


def test_clocks_are_bounded_and_freed(devices: list[CudaDevice], machine: Machine) -> None:
    hopper, gpu = devices[1], machine.gpus[1]
    assert hopper.settings()["clock_hertz"] is None
    applied = hopper.apply("clock_hertz", 1200e6)
    assert (applied.before, applied.read_back, gpu.sm_lock_mhz) == (None, 1200e6, 1200)
    assert hopper.apply("clock_hertz", 1.0).read_back == 210e6, "clamped to the slowest"
    hopper.apply("memory_clock_hertz", 5001e6)
    hopper.restore()
    assert (gpu.sm_lock_mhz, gpu.memory_lock_mhz) == (0, 0)


def test_a_clock_lock_that_somebody_took_away_is_seen(
    devices: list[CudaDevice], machine: Machine
) -> None:
    devices[1].apply("clock_hertz", 600e6)
    machine.gpus[1].sm_mhz = 1980
    assert devices[1].settings()["clock_hertz"] == 1980e6


def test_fans_are_set_and_given_back(devices: list[CudaDevice], machine: Machine) -> None:
    geforce, gpu = devices[0], machine.gpus[0]
    assert geforce.limits()["fan_ratio"].minimum == 0.3
    assert geforce.settings()["fan_ratio"] is None, "the curve rules"
    assert geforce.apply("fan_ratio", 0.1).read_back == 0.3
    assert geforce.apply("fan_ratio", 0.8).read_back == 0.8
    geforce.restore()
    assert gpu.fan_manual == 0


def test_passive_gpu_has_no_fan_control(devices: list[CudaDevice]) -> None:
    assert "fan_ratio" not in devices[1].limits()
    with pytest.raises(NotSupported):
        devices[1].apply("fan_ratio", 0.5)


def test_no_number_is_refused(devices: list[CudaDevice], machine: Machine) -> None:
    with pytest.raises(BadArgument):
        devices[0].apply("power_limit_watts", float("nan"))
    assert machine.gpus[0].limit_mw == 350_000


def test_restoring_tries_every_control(devices: list[CudaDevice], machine: Machine) -> None:
    """The clocks' bound cannot be taken away any more; the fan goes back all the same."""
    geforce, gpu = devices[0], machine.gpus[0]
    geforce.apply("power_limit_watts", 200)
    geforce.apply("fan_ratio", 0.8)
    gpu.may_set_power = 0
    with pytest.raises(PermissionDenied):
        geforce.restore()
    assert gpu.fan_manual == 0


def test_another_writer_wins_and_is_seen(devices: list[CudaDevice], machine: Machine) -> None:
    devices[0].apply("power_limit_watts", 200)
    machine.gpus[0].limit_mw = 300_000
    assert devices[0].settings()["power_limit_watts"] == 300
    devices[0].restore()
    assert machine.gpus[0].limit_mw == 350_000


def test_driver_that_does_not_answer_in_time(devices: list[CudaDevice], machine: Machine) -> None:
    machine.gpus[0].failure = TIMEOUT
    with pytest.raises(DeadlineExceeded, match="in time"):
        devices[0].settings()
    with pytest.raises(DeadlineExceeded):
        devices[0].snapshot()
    assert devices[0].health().status is HealthStatus.DEGRADED


def test_old_driver_lacks_functions(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = build(tmp_path / "old.so", "-DOLD_DRIVER")
    monkeypatch.setattr(pynvml, "nvmlLib", old)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    machine.gpus[1].retired_pages = 2
    hopper = Driver().discover()[1]
    assert hopper.snapshot().values["retired_memory_count"] == 2
    assert hopper.health().status is HealthStatus.OK
    old.nvmlShutdown()


def test_remapped_rows(devices: list[CudaDevice], machine: Machine) -> None:
    hopper, gpu = devices[1], machine.gpus[1]
    gpu.remapped_rows = 3
    assert hopper.snapshot().values["retired_memory_count"] == 3
    assert hopper.health().status is HealthStatus.OK
    gpu.remap_pending = 1
    assert hopper.health().codes == ("memory_remap_pending",)
    assert hopper.health().status is HealthStatus.NEEDS_RESET
    gpu.remap_failed = 1
    assert "replaced" in hopper.health().reason


def test_mig_is_told_and_gets_no_work(machine: Machine) -> None:
    machine.gpus[1].mig_mode, machine.gpus[1].mig_instances = 1, 2
    info = Driver().discover()[1].info
    assert info.details["mig"] == ", ".join(["NVIDIA H100 80GB HBM3"] * 2)
    assert "MIG is on" in info.details["cuckoo"]
    assert "mig" not in Driver().discover()[0].info.details


def test_processes_on_the_gpu(devices: list[CudaDevice], machine: Machine) -> None:
    machine.gpus[0].processes = 3
    assert devices[0].snapshot().values["process_count"] == 3


def test_lost_gpu(devices: list[CudaDevice], machine: Machine) -> None:
    machine.gpus[0].failure = LOST
    with pytest.raises(DeviceLost, match="fallen off the bus"):
        devices[0].snapshot()
    assert devices[0].health().status is HealthStatus.LOST
    assert devices[1].health().status is HealthStatus.OK
    assert [d.info.model for d in Driver().discover()] == ["NVIDIA H100 80GB HBM3"]


def test_order_may_change(devices: list[CudaDevice], machine: Machine) -> None:
    """After a loss the other GPU moves to the front; its device object still reads it."""
    machine.gpus[0] = machine.gpus[1]
    machine.count = 1
    assert devices[1].snapshot().values["power_watts"] == 450
    assert devices[0].health().status is HealthStatus.LOST


def test_reset_required(devices: list[CudaDevice], machine: Machine) -> None:
    machine.gpus[1].failure = RESET_REQUIRED
    assert devices[1].health().status is HealthStatus.NEEDS_RESET


def test_heat_and_memory_errors_degrade(devices: list[CudaDevice], machine: Machine) -> None:
    machine.gpus[0].throttle_bits = 0x40
    machine.gpus[1].ecc_errors = 3
    assert devices[0].health().codes == ("temperature_high",)
    assert devices[1].health().codes == ("ecc_uncorrected",)


@pytest.mark.parametrize(
    ("xid", "status"),
    [
        (79, HealthStatus.LOST),
        (48, HealthStatus.NEEDS_RESET),
        (63, HealthStatus.DEGRADED),
        (94, HealthStatus.DEGRADED),
        (13, HealthStatus.OK),
    ],
)
def test_xid_events(machine: Machine, xid: int, status: HealthStatus) -> None:
    driver, reasons = Driver(), list[str]()
    device = driver.discover()[1]
    end = driver.watch(reasons.append)
    assert end is not None
    machine.event_gpu, machine.event_xid = 1, xid
    deadline = time.monotonic() + 10
    while not reasons and time.monotonic() < deadline:
        time.sleep(0.005)
    end()
    assert f"XID {xid}" in reasons[0]
    assert device.health().status is status
    assert (f"xid_{xid}" in device.health().codes) == (status is not HealthStatus.OK)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(DRIVER_NOT_LOADED, "modprobe"), (VERSION_MISMATCH, "reboot"), (NO_PERMISSION, "root")],
)
def test_broken_driver_on_a_machine_with_a_gpu(
    machine: Machine, tmp_path: Path, failure: int, reason: str
) -> None:
    gpu = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    gpu.mkdir(parents=True)
    (gpu / "vendor").write_text("0x10de\n")
    (gpu / "class").write_text("0x030000\n")
    machine.init_result = failure
    probe = Driver(tmp_path).probe()
    assert probe.status is ProbeStatus.BROKEN
    assert reason in probe.reason


def test_no_gpu_at_all(machine: Machine, tmp_path: Path) -> None:
    machine.init_result = DRIVER_NOT_LOADED
    assert Driver(tmp_path).probe().status is ProbeStatus.ABSENT
    machine.init_result = machine.count = 0
    assert Driver(tmp_path).probe().status is ProbeStatus.ABSENT


def test_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pynvml, "nvmlLib", None)

    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(pynvml, "CDLL", refuse)
    probe = Driver(tmp_path).probe()
    assert probe.status is ProbeStatus.ABSENT
    assert "libnvidia-ml.so.1 not found" in probe.reason
