"""Files of one AMD GPU below ``/sys``, as the amdgpu kernel driver lays them out
(kernel.org, "drm/amdgpu: GPU sysfs" and "hwmon interfaces")."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path

from drivers.errors import DeviceLost, NotSupported, PermissionDenied

AMD_VENDOR = "0x1002"
PCIE_GENERATIONS = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}
GONE = {errno.ENODEV, errno.ENXIO, errno.EIO}


class GpuFiles:
    """The PCI folder of a GPU and its hwmon folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def slot(self) -> str:
        return self.folder.resolve().name

    def read(self, name: str) -> str:
        """Raises `NotSupported` without the file, `DeviceLost` if the GPU is gone."""
        return self._read(self.folder / name)

    def read_hwmon(self, name: str) -> int:
        return int(self._read(self.hwmon() / name))

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def write(self, name: str, text: str) -> None:
        """Raises `PermissionDenied` without root, `NotSupported` where amdgpu refuses it."""
        self._write(self.folder / name, text)

    def write_hwmon(self, name: str, value: int) -> None:
        """As `write`."""
        self._write(self.hwmon() / name, str(value))

    def _write(self, path: Path, text: str) -> None:
        try:
            path.write_text(f"{text}\n")
        except PermissionError:
            raise PermissionDenied(f"writing {path} wants root; run the agent as root") from None
        except OSError as error:
            raise NotSupported(f"{path}: {error.strerror}") from None

    def hwmon(self) -> Path:
        for folder in sorted((self.folder / "hwmon").glob("hwmon*")):
            return folder
        if not self.folder.exists():
            raise DeviceLost(f"the GPU at {self.folder.name} is gone")
        raise NotSupported("amdgpu has no hwmon folder for this GPU")

    def sensor(self, kind: str, label: str) -> str:
        """File stem of the sensor with a label, e.g. ``temp2`` of ``junction``."""
        for path in sorted(self.hwmon().glob(f"{kind}*_label")):
            if self._read(path) == label:
                return path.name.removesuffix("_label")
        raise NotSupported(f"this GPU has no {label} sensor")

    def _read(self, path: Path) -> str:
        try:
            return path.read_text().strip()
        except PermissionError:
            raise PermissionDenied(f"{path} is not readable by this user") from None
        except OSError as error:
            if error.errno in GONE or not self.folder.exists():
                raise DeviceLost(f"the GPU at {self.folder.name} is gone") from None
            raise NotSupported(f"amdgpu offers no {path.name} for this GPU") from None


def find_gpus(root: Path) -> list[GpuFiles]:
    """GPUs that amdgpu drives, in PCI order."""
    cards = (path.parent for path in (root / "sys/class/drm").glob("card*/device/vendor"))
    folders = {card.resolve(): card for card in cards if not re.search(r"-", card.parent.name)}
    gpus = (GpuFiles(folder) for folder in sorted(folders))
    return [gpu for gpu in gpus if gpu.read("vendor") == AMD_VENDOR]


def count_on_bus(root: Path) -> int:
    """AMD display and 3D controllers on the PCI bus, driven or not."""
    found = 0
    for folder in (root / "sys/bus/pci/devices").glob("*"):
        gpu = GpuFiles(folder)
        try:
            is_display = gpu.read("class").startswith(("0x03", "0x12"))
            found += is_display and gpu.read("vendor") == AMD_VENDOR
        except (NotSupported, DeviceLost):
            continue
    return found


def readers(gpu: GpuFiles) -> dict[str, Callable[[], float]]:
    """Reader by telemetry field, for `drivers.base.read_telemetry`."""
    return {
        "utilisation_ratio": lambda: int(gpu.read("gpu_busy_percent")) / 100,
        "memory_utilisation_ratio": lambda: int(gpu.read("mem_busy_percent")) / 100,
        "voltage_volts": lambda: gpu.read_hwmon("in0_input") / 1e3,
        "memory_used_bytes": lambda: float(gpu.read("mem_info_vram_used")),
        "memory_total_bytes": lambda: float(gpu.read("mem_info_vram_total")),
        "temperature_celsius": lambda: read_temperature(gpu),
        "memory_temperature_celsius": lambda: (
            gpu.read_hwmon(gpu.sensor("temp", "mem") + "_input") / 1e3
        ),
        "fan_ratio": lambda: read_fan(gpu),
        "power_watts": lambda: read_power(gpu),
        "power_limit_watts": lambda: gpu.read_hwmon("power1_cap") / 1e6,
        "clock_hertz": lambda: float(gpu.read_hwmon(gpu.sensor("freq", "sclk") + "_input")),
        "memory_clock_hertz": lambda: float(gpu.read_hwmon(gpu.sensor("freq", "mclk") + "_input")),
        "pcie_generation": lambda: read_pcie_generation(gpu),
        "pcie_width_lanes": lambda: float(gpu.read("current_link_width")),
        "pcie_replay_count": lambda: float(gpu.read("pcie_replay_count")),
        "ecc_corrected_count": lambda: read_ecc_errors(gpu, "ce"),
        "ecc_uncorrected_count": lambda: read_ecc_errors(gpu),
        "retired_memory_count": lambda: float(len(gpu.read("ras/gpu_vram_bad_pages").splitlines())),
    }


def read_temperature(gpu: GpuFiles) -> float:
    """Celsius of the hottest spot (junction), or of the edge on older GPUs."""
    return gpu.read_hwmon(f"{_hottest(gpu)}_input") / 1e3


def read_critical(gpu: GpuFiles) -> float:
    """Celsius of that spot at which the GPU slows down."""
    return gpu.read_hwmon(f"{_hottest(gpu)}_crit") / 1e3


def _hottest(gpu: GpuFiles) -> str:
    try:
        return gpu.sensor("temp", "junction")
    except NotSupported:
        return "temp1"


def read_power(gpu: GpuFiles) -> float:
    """Watts; newer GPUs give the present value, older ones a mean."""
    try:
        return gpu.read_hwmon("power1_average") / 1e6
    except NotSupported:
        return gpu.read_hwmon("power1_input") / 1e6


def read_fan(gpu: GpuFiles) -> float:
    """Speed by its maximum where the GPU tells it, else the duty cycle."""
    try:
        return gpu.read_hwmon("fan1_input") / gpu.read_hwmon("fan1_max")
    except (NotSupported, ZeroDivisionError):
        return gpu.read_hwmon("pwm1") / 255


def read_pcie_generation(gpu: GpuFiles) -> float:
    speed = gpu.read("current_link_speed").split()[0]
    if (generation := PCIE_GENERATIONS.get(speed)) is None:
        raise NotSupported(f"unknown PCIe link speed {speed}")
    return generation


def read_ecc_errors(gpu: GpuFiles, kind: str = "ue") -> float:
    """Errors of the memory controllers that RAS has counted, uncorrected or corrected."""
    counts = dict(
        line.split(":") for line in gpu.read("ras/umc_err_count").splitlines() if ":" in line
    )
    if kind not in counts:
        raise NotSupported("RAS counts no such errors on this GPU")
    return float(counts[kind])
