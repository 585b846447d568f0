"""Clocks and fans of AMD GPUs, over trees of files with a kernel's answers to writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.errors import NotSupported, PermissionDenied
from drivers.rocm.driver import Driver, RocmDevice
from tests.drivers.rocm.amdgpu_kernel import PLAIN_WRITE, AmdgpuKernel
from tests.drivers.rocm.test_rocm_driver import MI300X, RDNA3, add_gpu

SLOT = "0000:03:00.0"
CLOCKS = {
    "power_dpm_force_performance_level": "auto",
    "pp_dpm_sclk": "0: 500Mhz\n1: 1900Mhz *\n2: 2482Mhz",
    "pp_dpm_mclk": "0: 96Mhz\n1: 456Mhz\n2: 1249Mhz *",
}
#: A Radeon RX 580 (GCN 4): the fan follows a duty cycle, no junction sensor.
POLARIS = {
    "vendor": "0x1002",
    "device": "0x67df",
    "revision": "0xe7",
    "class": "0x030000",
    "gpu_busy_percent": "12",
    "mem_busy_percent": "34",
    "mem_info_vram_total": "8589934592",
    "mem_info_vram_used": "1048576",
    "current_link_speed": "8.0 GT/s PCIe",
    "current_link_width": "16",
    "power_dpm_force_performance_level": "auto",
    "pp_dpm_sclk": "0: 300Mhz\n1: 600Mhz\n2: 1120Mhz\n3: 1340Mhz *",
    "pp_dpm_mclk": "0: 300Mhz\n1: 1000Mhz\n2: 2000Mhz *",
    "hwmon/hwmon1/temp1_input": "64000",
    "hwmon/hwmon1/temp1_label": "edge",
    "hwmon/hwmon1/temp1_crit": "94000",
    "hwmon/hwmon1/in0_input": "1150",
    "hwmon/hwmon1/in0_label": "vddgfx",
    "hwmon/hwmon1/pwm1": "102",
    "hwmon/hwmon1/pwm1_enable": "2",
    "hwmon/hwmon1/pwm1_min": "0",
    "hwmon/hwmon1/pwm1_max": "255",
    "hwmon/hwmon1/power1_average": "132000000",
    "hwmon/hwmon1/power1_cap": "145000000",
    "hwmon/hwmon1/power1_cap_min": "0",
    "hwmon/hwmon1/power1_cap_max": "217000000",
    "hwmon/hwmon1/freq1_input": "1340000000",
    "hwmon/hwmon1/freq1_label": "sclk",
}
FAN_FLOOR = "FAN_MINIMUM_PWM:\n15\nOD_RANGE:\nMINIMUM_PWM: 15 100"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AmdgpuKernel:
    kernel = AmdgpuKernel(tmp_path)
    kernel.install(monkeypatch)
    return kernel


def find(root: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> RocmDevice:
    with monkeypatch.context() as plain:
        plain.setattr(Path, "write_text", PLAIN_WRITE)
        add_gpu(root, SLOT, files, card=0)
    return Driver(root).discover()[0]


def test_clocks_are_bounded_by_levels(
    kernel: AmdgpuKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = find(tmp_path, {**RDNA3, **CLOCKS}, monkeypatch)
    folder = tmp_path / "sys/devices/pci0000:00" / SLOT
    assert device.settings()["clock_hertz"] is None
    assert device.apply("clock_hertz", 2000e6).read_back == 1900e6, "the level below"
    assert kernel.allowed[folder / "pp_dpm_sclk"] == "0 1"
    assert device.apply("memory_clock_hertz", 1.0).read_back == 96e6, "clamped to the slowest"
    device.restore()
    assert (folder / "power_dpm_force_performance_level").read_text().strip() == "auto"


def test_somebody_else_frees_the_clock(
    kernel: AmdgpuKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = find(tmp_path, {**RDNA3, **CLOCKS}, monkeypatch)
    device.apply("clock_hertz", 500e6)
    (tmp_path / "sys/devices/pci0000:00" / SLOT / "power_dpm_force_performance_level").write_text(
        "auto"
    )
    assert device.settings()["clock_hertz"] is None


def test_an_older_card(
    kernel: AmdgpuKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = find(tmp_path, POLARIS, monkeypatch)
    values = device.snapshot().values
    assert values["memory_utilisation_ratio"] == 0.34
    assert values["voltage_volts"] == 1.15
    assert values["fan_ratio"] == 0.4
    assert values["temperature_celsius"] == 64
    assert device.settings()["fan_ratio"] is None
    assert device.apply("fan_ratio", 0.8).read_back == 0.8
    device.restore()
    assert device.settings()["fan_ratio"] is None


def test_newer_cards_take_a_lowest_fan_speed(
    kernel: AmdgpuKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**RDNA3, "gpu_od/fan_ctrl/fan_minimum_pwm": FAN_FLOOR}
    device = find(tmp_path, files, monkeypatch)
    assert device.limits()["fan_ratio"].maximum == 1
    assert device.apply("fan_ratio", 0.6).read_back == 0.6
    assert device.apply("fan_ratio", 0.01).read_back is None, "the least is the default"
    device.restore()
    assert device.settings()["fan_ratio"] is None


def test_an_accelerator_without_fans_and_levels(
    kernel: AmdgpuKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = find(tmp_path, MI300X, monkeypatch)
    assert device.limits().keys() == {"power_limit_watts"}
    assert device.snapshot().values["ecc_corrected_count"] == 4
    with pytest.raises(NotSupported):
        device.apply("fan_ratio", 0.5)


def test_without_root(
    kernel: AmdgpuKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = find(tmp_path, {**RDNA3, **CLOCKS}, monkeypatch)
    kernel.refuses = True
    with pytest.raises(PermissionDenied, match="root"):
        device.apply("clock_hertz", 500e6)


def test_retired_pages_are_counted(
    kernel: AmdgpuKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = "0x00000001 : 0x00001000 : R\n0x00000002 : 0x00001000 : P"
    device = find(tmp_path, {**MI300X, "ras/gpu_vram_bad_pages": pages}, monkeypatch)
    assert device.snapshot().values["retired_memory_count"] == 2
