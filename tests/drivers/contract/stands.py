"""Every family over its stand-in, which lies below the family's own code and real libraries.

A new family adds a fixture here and its name to `FAMILIES`.
"""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_nvml import Machine
from serial.tools import list_ports
from sticks import plugged

from drivers.base import POWER_LIMIT, Capability, Driver
from drivers.cpu import driver as cpu
from drivers.cpu import library as cpu_library
from drivers.cuda import driver as cuda
from drivers.errors import DriverMissing
from drivers.fpga import driver as fpga
from drivers.fpga.simulated_boards import COUNT_VARIABLE
from drivers.fpga.simulation.build import build_library
from drivers.kernels.opencl.devices import list_devices
from drivers.opencl import driver as opencl
from drivers.rocm import driver as rocm
from drivers.usbstick import driver as usbstick
from tests.drivers.rocm.amdgpu_kernel import AmdgpuKernel
from tests.drivers.rocm.test_rocm_driver import MI300X, RDNA3, add_gpu

FAMILIES = ("cpu", "cuda", "fpga", "opencl", "rocm", "usbstick")
GPU_LOST, DRIVER_NOT_LOADED = 15, 9


@dataclass(frozen=True)
class Stand:
    family: str
    make: Callable[[], Driver]
    """A driver that has looked at nothing yet."""
    take_away: Callable[[], None]
    count: int
    lose_first: Callable[[], None] | None = None
    """None where a device of the stand-in cannot go alone."""
    capabilities: frozenset[Capability] = frozenset()
    """What is really computed here."""
    control: str = ""
    holds_alone: bool = False
    """Whether a second session is refused."""


@pytest.fixture
def cpu_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """The processor itself, with a cpufreq policy as laptops and servers have."""
    policy = tmp_path / "sys/devices/system/cpu/cpufreq/policy0"
    policy.mkdir(parents=True)
    for name, kilohertz in (("cpuinfo_min", 800), ("cpuinfo_max", 4000), ("scaling_max", 4000)):
        (policy / f"{name}_freq").write_text(f"{kilohertz}000\n")

    def take_away() -> None:
        monkeypatch.setattr(cpu_library, "FILE_NAME", "libnone.so")
        cpu_library.load.cache_clear()

    computed = frozenset({Capability.CUCKOO, Capability.INFER})
    return Stand("cpu", lambda: cpu.Driver(tmp_path), take_away, 1, None, computed, "clock_hertz")


@pytest.fixture
def cuda_stand(machine: Machine, tmp_path: Path) -> Stand:
    def take_away() -> None:
        machine.init_result = DRIVER_NOT_LOADED

    def lose_first() -> None:
        """NVML numbers the GPUs that are left anew."""
        size = ctypes.sizeof(machine.gpus[0])
        first, second = (ctypes.byref(machine.gpus[n]) for n in (0, 1))
        ctypes.memmove(first, second, size)
        machine.count = 1

    make = lambda: cuda.Driver(tmp_path)  # noqa: E731 - as short as its name
    return Stand("cuda", make, take_away, 2, lose_first, control=POWER_LIMIT)


@pytest.fixture
def rocm_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    gpus = [
        add_gpu(tmp_path, slot, files, card)
        for card, (slot, files) in enumerate((("0000:03:00.0", RDNA3), ("0000:83:00.0", MI300X)))
    ]
    AmdgpuKernel(tmp_path).install(monkeypatch)

    def take_away() -> None:
        shutil.rmtree(tmp_path / "sys/class/drm")

    def lose_first() -> None:
        gpus[0].rename(tmp_path / "unplugged")

    make = lambda: rocm.Driver(tmp_path)  # noqa: E731
    return Stand("rocm", make, take_away, 2, lose_first, control=POWER_LIMIT)


@pytest.fixture
def opencl_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """PoCL on the processor."""
    try:
        found = any(device.kind == "cpu" for device in list_devices())
    except DriverMissing as error:
        pytest.skip(f"not run: {error}; install pocl-opencl-icd")
    if not found:
        pytest.skip("not run: OpenCL has no processor; install pocl-opencl-icd")
    monkeypatch.setenv(opencl.CPU_VARIABLE, "1")
    computed = frozenset({Capability.CUCKOO, Capability.INFER})
    return Stand(
        "opencl",
        lambda: opencl.Driver(tmp_path),
        lambda: monkeypatch.delenv(opencl.CPU_VARIABLE),
        1,
        capabilities=computed,
    )


@pytest.fixture
def fpga_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """The core's Verilog, simulated."""
    try:
        build_library()
    except DriverMissing as missing:
        pytest.skip(f"not run: {missing}")
    monkeypatch.setenv(COUNT_VARIABLE, "2")
    return Stand(
        "fpga",
        lambda: fpga.Driver(tmp_path),
        lambda: monkeypatch.delenv(COUNT_VARIABLE),
        2,
        capabilities=frozenset({Capability.INFER}),
        holds_alone=True,
    )


@pytest.fixture
def usbstick_stand(
    firmware: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stand]:
    """The reference firmware behind two terminals."""
    monkeypatch.setattr(list_ports, "comports", list)
    with plugged(firmware, "STAND1") as first, plugged(firmware, "STAND2") as second:
        ports = [tmp_path / f"stick{number}" for number in (1, 2)]
        for link, stick in zip(ports, (first, second), strict=True):
            link.symlink_to(stick.port)
        monkeypatch.setenv(usbstick.PORTS_VARIABLE, ":".join(map(str, ports)))
        yield Stand(
            "usbstick",
            lambda: usbstick.Driver(tmp_path),
            lambda: monkeypatch.delenv(usbstick.PORTS_VARIABLE),
            2,
            ports[0].unlink,
            frozenset({Capability.INFER, Capability.VERIFY_CUCKOO}),
            holds_alone=True,
        )
