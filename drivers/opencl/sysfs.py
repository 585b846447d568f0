"""Files of one GPU below ``/sys/bus/pci``, whatever its kernel driver: PCI's own, and those of
hwmon that the driver has (kernel.org, "Naming and data format standards for sysfs files"; for
Intel "sysfs-driver-intel-i915-hwmon" and "-xe-hwmon")."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from drivers.errors import DeviceLost, NotSupported, PermissionDenied

PCIE_GENERATIONS = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}
GONE = {errno.ENODEV, errno.ENXIO, errno.EIO}
GRAPHICS_CLOCK = ("tile0/gt0/freq0/act_freq", "drm/card*/gt/gt0/rps_act_freq_mhz")
"""Of Intel's xe and i915, in MHz."""


class PciGpu:
    """The PCI folder of a GPU."""

    def __init__(self, root: Path, address: str) -> None:
        """``root`` holds the ``sys`` tree."""
        self.folder = root / "sys/bus/pci/devices" / address

    @property
    def kernel_driver(self) -> str:
        """Its name, or "" without one."""
        link = self.folder / "driver"
        return link.resolve().name if link.exists() else ""

    def read(self, pattern: str) -> str:
        """The first file of the pattern. Raises `NotSupported` without one, `DeviceLost` if
        the GPU is gone."""
        if not self.folder.exists():
            raise DeviceLost(f"the GPU at {self.folder.name} is gone")
        path = next(iter(sorted(self.folder.glob(pattern))), None)
        if path is None:
            raise NotSupported(f"the GPU's kernel driver offers no {pattern}")
        try:
            return path.read_text().strip()
        except PermissionError:
            raise PermissionDenied(f"{path} is not readable by this user") from None
        except OSError as error:
            if error.errno in GONE:
                raise DeviceLost(f"the GPU at {self.folder.name} is gone") from None
            raise NotSupported(f"{path}: {error.strerror}") from None

    def read_hwmon(self, *names: str) -> float:
        """The first of these files that there is, in hwmon's unit."""
        for name in names[:-1]:
            try:
                return float(self.read(f"hwmon/hwmon*/{name}"))
            except NotSupported:
                continue
        return float(self.read(f"hwmon/hwmon*/{names[-1]}"))

    def read_temperature(self) -> float:
        """Celsius of the chip: of the package where several parts have one."""
        return self.read_hwmon("temp2_input", "temp1_input") / 1e3

    def read_clock(self) -> float:
        """Hertz of the graphics part."""
        for pattern in GRAPHICS_CLOCK:
            try:
                return float(self.read(pattern)) * 1e6
            except NotSupported:
                continue
        raise NotSupported("the GPU's kernel driver tells no clock")

    def read_pcie_generation(self) -> float:
        speed = self.read("current_link_speed").split()[0]
        if (generation := PCIE_GENERATIONS.get(speed)) is None:
            raise NotSupported(f"unknown PCIe link speed {speed}")
        return generation

    def readers(self) -> dict[str, Callable[[], float]]:
        """Reader by telemetry field, for `drivers.base.read_telemetry`."""
        return {
            "temperature_celsius": self.read_temperature,
            "power_watts": lambda: self.read_hwmon("power1_average", "power1_input") / 1e6,
            "power_limit_watts": lambda: self.read_hwmon("power1_max", "power1_cap") / 1e6,
            "energy_joules": lambda: self.read_hwmon("energy1_input") / 1e6,
            "fan_ratio": lambda: self.read_hwmon("pwm1") / 255,
            "clock_hertz": self.read_clock,
            "pcie_generation": self.read_pcie_generation,
            "pcie_width_lanes": lambda: float(self.read("current_link_width")),
        }
