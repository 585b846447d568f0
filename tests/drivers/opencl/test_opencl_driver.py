"""The OpenCL family: which devices it takes, what it reads of them, and what it does when one is
lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Capability, CuckooJob, HealthStatus, ProbeStatus
from drivers.errors import BadArgument, DeviceLost, DriverMissing, NotSupported, OutOfMemory
from drivers.kernels.opencl.devices import OpenClDevice, list_devices
from drivers.opencl.driver import CPU_VARIABLE, Driver
from drivers.selftest import check, prove
from drivers.worker import open_session

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
JOB = CuckooJob(bytes(range(32)), 12, proof_size=4)


@pytest.fixture
def with_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offers PoCL's processor, which tests/system_packages.sh installs, as ``opencl:0``."""
    try:
        found = any(device.kind == "cpu" for device in list_devices())
    except DriverMissing as error:
        pytest.skip(f"not run: {error}; install pocl-opencl-icd")
    if not found:
        pytest.skip("not run: OpenCL has no processor; install pocl-opencl-icd")
    monkeypatch.setenv(CPU_VARIABLE, "1")


def build(source: str, folder: Path) -> Path:
    library = folder / f"lib{Path(source).stem}.so"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", str(library), str(HERE / source)], check=True)
    return library


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")


def never() -> bool:
    return False


def test_processors_are_offered_only_when_asked(
    with_processor: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Driver().probe().status is ProbeStatus.PASS
    assert Driver().discover()[0].info.details["kind"] == "cpu"
    monkeypatch.delenv(CPU_VARIABLE)
    assert not any(d.info.details["kind"] == "cpu" for d in Driver().discover())
    if not Driver().discover():
        assert CPU_VARIABLE in Driver().probe().reason


def test_pyopencl_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyopencl", None)
    probe = Driver().probe()
    assert probe.status is ProbeStatus.ABSENT
    assert "farmctl[opencl]" in probe.reason


@pytest.mark.parametrize("capability", [Capability.CUCKOO, Capability.INFER])
def test_a_processor_proves_itself(with_processor: None, capability: Capability) -> None:
    answer = prove("opencl", "opencl:0", capability)
    assert answer.passed, answer.detail


def test_options_are_checked(with_processor: None) -> None:
    device = Driver().discover()[0]
    with pytest.raises(BadArgument, match="colour"):
        device.open(Capability.CUCKOO, colour="red")
    with pytest.raises(BadArgument, match="no option colour"):
        device.open(Capability.INFER, colour="red")
    with pytest.raises(BadArgument, match="must be positive"):
        device.open(Capability.INFER, memory_limit_bytes=0)
    with pytest.raises(NotSupported):
        device.open(Capability.TRAIN)


def test_every_variant_finds_the_same(with_processor: None) -> None:
    device, found = Driver().discover()[0], []
    for options in device.variants(Capability.CUCKOO, JOB.edge_bits):
        session: Any = device.open(Capability.CUCKOO, **options)
        found.append(session.search(JOB, 0, 5, never))
        session.close()
    assert len(found) > 2
    assert all(answer == found[0] for answer in found)


@pytest.mark.parametrize(
    ("status", "error"), [(-2, DeviceLost), (-36, DeviceLost), (-4, OutOfMemory)]
)
def test_device_lost_in_the_middle_of_a_graph(
    with_processor: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    status: int,
    error: type[Exception],
) -> None:
    """The real worker, session and kernels, over a loader that fails from the 30th kernel on;
    a new session without it goes on."""
    with monkeypatch.context() as failing:
        failing.setenv("LD_PRELOAD", str(build("failing_opencl.c", tmp_path)))
        failing.setenv("FAIL_AFTER", "30")
        failing.setenv("FAIL_WITH", str(status))
        session = open_session("opencl", "opencl:0", Capability.CUCKOO)
    with session, pytest.raises(error):
        session.search(JOB, 0, 100, never)
    with open_session("opencl", "opencl:0", Capability.CUCKOO) as session:
        assert session.search(JOB, 0, 3, never)[0] == 3


def test_device_lost_in_the_middle_of_an_inference(
    with_processor: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As above. The trial at opening takes some 150 kernels."""
    with monkeypatch.context() as failing:
        failing.setenv("LD_PRELOAD", str(build("failing_opencl.c", tmp_path)))
        failing.setenv("FAIL_AFTER", "200")
        failing.setenv("FAIL_WITH", "-36")
        session = open_session("opencl", "opencl:0", Capability.INFER)
    with session, pytest.raises(DeviceLost):
        for _ in range(100):
            check(session, Capability.INFER)
    with open_session("opencl", "opencl:0", Capability.INFER) as session:
        check(session, Capability.INFER)


SURVEY = """
import json, sys
from pathlib import Path
from drivers.opencl.driver import Driver
driver = Driver(Path(sys.argv[1]))
def tell(device):
    info, reading, health = device.info, device.snapshot(), device.health()
    return [info.id, info.model, info.hardware_id, info.parent, dict(reading.values),
            dict(reading.missing), health.status, health.reason]
print(json.dumps([driver.probe().status, [tell(device) for device in driver.discover()]]))
"""


def survey(tmp_path: Path, script: str) -> Any:
    """What a family says of the GPUs of fake_gpus.c. In a process of its own: the loader looks
    for vendors only once."""
    write_files(tmp_path / "vendors", {"fake.icd": str(build("fake_gpus.c", tmp_path))})
    variables = {"OCL_ICD_VENDORS": str(tmp_path / "vendors"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = {**os.environ, **variables}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def test_takes_the_gpus_that_no_other_family_has(tmp_path: Path) -> None:
    """Intel's, and AMD's that amdgpu does not drive; each once, no accelerator, none of
    NVIDIA's. Readings are found by the PCI address."""
    drivers = tmp_path / "sys/bus/pci/drivers"
    for address, kernel_driver in (("03", "xe"), ("0a", "amdgpu"), ("0b", "radeon")):
        folder = tmp_path / f"sys/bus/pci/devices/0000:{address}:00.0"
        folder.mkdir(parents=True)
        (drivers / kernel_driver).mkdir(parents=True)
        (folder / "driver").symlink_to(drivers / kernel_driver)
    files = {
        "hwmon/hwmon3/temp2_input": "61000",
        "hwmon/hwmon3/energy1_input": "123456789",
        "hwmon/hwmon3/power1_max": "190000000",
        "tile0/gt0/freq0/act_freq": "2400",
        "current_link_speed": "16.0 GT/s PCIe",
        "current_link_width": "8",
    }
    write_files(tmp_path / "sys/bus/pci/devices/0000:03:00.0", files)
    status, devices = survey(tmp_path, SURVEY)
    assert status == "pass"
    arc, radeon = devices
    assert arc[:4] == ["opencl:0", "Arc A770", "opencl-0000:03:00.0", "0000:03:00.0"]
    assert arc[4] == {
        "memory_total_bytes": float(8 << 30),
        "temperature_celsius": 61.0,
        "energy_joules": 123.456789,
        "power_limit_watts": 190.0,
        "clock_hertz": 2.4e9,
        "pcie_generation": 4,
        "pcie_width_lanes": 8,
    }
    assert "power1_input" in arc[5]["power_watts"]
    assert arc[6] == HealthStatus.OK
    assert radeon[:2] == ["opencl:1", "Radeon HD 7970"]
    assert "temperature_celsius" in radeon[5]


ROCM = """
import json, sys
from pathlib import Path
from drivers.rocm.driver import Driver
infos = [device.info for device in Driver(Path(sys.argv[1])).discover()]
print(json.dumps([[i.id, sorted(i.capabilities), i.details.get("through")] for i in infos]))
"""


def test_rocm_computes_through_opencl_where_rocm_is_not_installed(tmp_path: Path) -> None:
    """The Radeon VII is of the family rocm, which finds it among OpenCL's devices; the card that
    OpenCL does not know has no capability."""
    for number, address in enumerate(("0a", "7f")):
        folder = tmp_path / f"sys/bus/pci/devices/0000:{address}:00.0"
        write_files(folder, {"vendor": "0x1002", "device": "0x66af", "revision": "0xc1"})
        card = tmp_path / f"sys/class/drm/card{number}"
        card.mkdir(parents=True)
        (card / "device").symlink_to(folder)
    known, unknown = survey(tmp_path, ROCM)
    assert known == ["rocm:0", ["cuckoo", "infer"], "OpenCL, Many makers"]
    assert unknown == ["rocm:1", [], None]


def test_heat_and_loss_are_seen(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/pci/devices/0000:03:00.0"
    write_files(folder, {"hwmon/hwmon0/temp1_input": "104000"})
    device = OpenClDevice(None, "Arc", "p", 0x8086, "gpu", "1", 1, 1, 1, "0000:03:00.0")
    gpu = Driver(tmp_path)._describe(0, device)
    assert gpu.health().codes == ("temperature_high",)
    folder.rename(tmp_path / "unplugged")
    assert gpu.health().status is HealthStatus.LOST
    with pytest.raises(DeviceLost):
        gpu.snapshot()
