"""The ROCm family over sysfs trees of an RDNA3 card and an MI300X."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drivers.base import TELEMETRY_FIELDS, HealthStatus, ProbeStatus
from drivers.errors import DeviceLost, NotSupported
from drivers.rocm.driver import Driver, RocmDevice

#: File to content below the PCI folder, as a Radeon RX 7900 XTX on Linux 6.6 has them.
RDNA3 = {
    "vendor": "0x1002",
    "device": "0x744c",
    "revision": "0xc8",
    "class": "0x030000",
    "unique_id": "a3c1d2e4f5061728",
    "vbios_version": "113-3E4710U-O4W",
    "gpu_busy_percent": "99",
    "mem_info_vram_total": "25753026560",
    "mem_info_vram_used": "8123456512",
    "current_link_speed": "16.0 GT/s PCIe",
    "current_link_width": "16",
    "pcie_replay_count": "2",
    "hwmon/hwmon3/name": "amdgpu",
    "hwmon/hwmon3/temp1_input": "58000",
    "hwmon/hwmon3/temp1_label": "edge",
    "hwmon/hwmon3/temp1_crit": "100000",
    "hwmon/hwmon3/temp2_input": "81000",
    "hwmon/hwmon3/temp2_label": "junction",
    "hwmon/hwmon3/temp2_crit": "110000",
    "hwmon/hwmon3/temp3_input": "76000",
    "hwmon/hwmon3/temp3_label": "mem",
    "hwmon/hwmon3/power1_average": "303000000",
    "hwmon/hwmon3/power1_cap": "339000000",
    "hwmon/hwmon3/power1_cap_min": "305000000",
    "hwmon/hwmon3/power1_cap_max": "390000000",
    "hwmon/hwmon3/power1_cap_default": "339000000",
    "hwmon/hwmon3/fan1_input": "1680",
    "hwmon/hwmon3/fan1_max": "3200",
    "hwmon/hwmon3/freq1_input": "2482000000",
    "hwmon/hwmon3/freq1_label": "sclk",
    "hwmon/hwmon3/freq2_input": "1249000000",
    "hwmon/hwmon3/freq2_label": "mclk",
}
#: An accelerator: passive, no edge sensor, ECC counted by RAS, present power only.
MI300X = {
    "vendor": "0x1002",
    "device": "0x74a1",
    "revision": "0x00",
    "class": "0x120000",
    "unique_id": "b7e1f00112233445",
    "product_name": "AMD Instinct MI300X OAM",
    "gpu_busy_percent": "0",
    "mem_info_vram_total": "206141652992",
    "mem_info_vram_used": "297537536",
    "current_link_speed": "32.0 GT/s PCIe",
    "current_link_width": "16",
    "pcie_replay_count": "0",
    "ras/umc_err_count": "ue: 0\nce: 4",
    "hwmon/hwmon5/temp1_input": "41000",
    "hwmon/hwmon5/temp1_label": "junction",
    "hwmon/hwmon5/temp2_input": "38000",
    "hwmon/hwmon5/temp2_label": "mem",
    "hwmon/hwmon5/power1_input": "143000000",
    "hwmon/hwmon5/power1_cap": "750000000",
    "hwmon/hwmon5/power1_cap_min": "0",
    "hwmon/hwmon5/power1_cap_max": "750000000",
    "hwmon/hwmon5/freq1_input": "132000000",
    "hwmon/hwmon5/freq1_label": "sclk",
}


def add_gpu(root: Path, slot: str, files: dict[str, str], card: int | None = None) -> Path:
    """Lay out a GPU on the bus; with ``card`` it is driven by amdgpu."""
    folder = root / "sys/devices/pci0000:00" / slot
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content + "\n")
    bus = root / "sys/bus/pci/devices"
    bus.mkdir(parents=True, exist_ok=True)
    (bus / slot).symlink_to(folder)
    if card is not None:
        drm = root / f"sys/class/drm/card{card}"
        drm.mkdir(parents=True)
        (drm / "device").symlink_to(folder)
        connector = root / f"sys/class/drm/card{card}-DP-1"
        connector.mkdir()
        (connector / "device").symlink_to(drm)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    add_gpu(tmp_path, "0000:03:00.0", RDNA3, card=1)
    add_gpu(tmp_path, "0000:83:00.0", MI300X, card=0)
    add_gpu(tmp_path, "0000:09:00.0", {"vendor": "0x10de", "device": "0x2204", "class": "0x030000"})
    version = tmp_path / "sys/module/amdgpu/version"
    version.parent.mkdir(parents=True)
    version.write_text("6.12.12\n")
    names = tmp_path / "usr/share/misc/pci.ids"
    names.parent.mkdir(parents=True)
    names.write_text("10de  NVIDIA\n\t744c  wrong\n1002  AMD/ATI\n\t744c  Navi 31 [RX 7900 XTX]\n")
    return tmp_path


@pytest.fixture
def devices(root: Path) -> list[RocmDevice]:
    return list(Driver(root).discover())


def test_finds_amd_gpus_in_bus_order(devices: list[RocmDevice]) -> None:
    assert [d.info.id for d in devices] == ["rocm:0", "rocm:1"]
    assert [d.info.model for d in devices] == ["Navi 31 [RX 7900 XTX]", "AMD Instinct MI300X OAM"]
    assert devices[0].info.hardware_id == "amd-a3c1d2e4f5061728"
    assert devices[0].info.parent == "0000:03:00.0"
    assert devices[0].info.driver_version == "6.12.12"
    assert devices[0].info.details["pci_id"] == "1002:744c:c8"


def test_product_name_comes_from_libdrm(root: Path) -> None:
    names = root / "usr/share/libdrm/amdgpu.ids"
    names.parent.mkdir(parents=True)
    names.write_text("1.0.0\n744C,\tCC,\tAMD Radeon RX 7900 XT\n744C,\tC8,\tRX 7900 XTX\n")
    assert Driver(root).discover()[0].info.model == "RX 7900 XTX"


def test_reads_in_si_units(devices: list[RocmDevice]) -> None:
    values = devices[0].snapshot().values
    assert values["temperature_celsius"] == 81
    assert values["memory_temperature_celsius"] == 76
    assert values["power_watts"] == 303
    assert values["clock_hertz"] == 2482e6
    assert values["pcie_generation"] == 4
    assert values["fan_ratio"] == 0.525
    assert devices[1].snapshot().values["power_watts"] == 143


def test_missing_readings_have_their_reason(devices: list[RocmDevice]) -> None:
    for device in devices:
        reading = device.snapshot()
        assert set(reading.values) | set(reading.missing) == set(TELEMETRY_FIELDS)
    accelerator = devices[1].snapshot().missing
    assert "pwm1" in accelerator["fan_ratio"]
    assert "mclk" in accelerator["memory_clock_hertz"]
    assert accelerator["throttle_bits"].startswith("not among amdgpu's sysfs files; amdsmi ")


def test_power_cap_is_clamped_read_back_and_restored(devices: list[RocmDevice], root: Path) -> None:
    cap = root / "sys/devices/pci0000:00/0000:03:00.0/hwmon/hwmon3/power1_cap"
    applied = devices[0].apply("power_limit_watts", 100)
    assert (applied.before, applied.requested, applied.read_back) == (339, 100, 305)
    assert cap.read_text().strip() == "305000000"
    devices[0].restore()
    assert cap.read_text().strip() == "339000000"


def test_gpu_without_cap_has_no_control(devices: list[RocmDevice], root: Path) -> None:
    (root / "sys/devices/pci0000:00/0000:03:00.0/hwmon/hwmon3/power1_cap_max").unlink()
    assert "power_limit_watts" not in devices[0].limits()
    with pytest.raises(NotSupported):
        devices[0].apply("power_limit_watts", 300)


def test_lost_gpu(devices: list[RocmDevice], root: Path) -> None:
    shutil.rmtree(root / "sys/devices/pci0000:00/0000:03:00.0")
    with pytest.raises(DeviceLost):
        devices[0].snapshot()
    assert devices[0].health().status is HealthStatus.LOST
    assert devices[1].health().status is HealthStatus.OK


def test_heat_and_memory_errors_degrade(devices: list[RocmDevice], root: Path) -> None:
    pci = root / "sys/devices/pci0000:00"
    (pci / "0000:03:00.0/hwmon/hwmon3/temp2_input").write_text("111000\n")
    (pci / "0000:83:00.0/ras/umc_err_count").write_text("ue: 2\nce: 0\n")
    assert devices[0].health().codes == ("temperature_high",)
    assert devices[1].health().codes == ("ecc_uncorrected",)


def test_gpu_without_its_driver_is_broken(tmp_path: Path) -> None:
    add_gpu(tmp_path, "0000:03:00.0", RDNA3)
    probe = Driver(tmp_path).probe()
    assert probe.status is ProbeStatus.BROKEN
    assert "modprobe amdgpu" in probe.reason


def test_no_gpu(tmp_path: Path) -> None:
    assert Driver(tmp_path).probe().status is ProbeStatus.ABSENT
