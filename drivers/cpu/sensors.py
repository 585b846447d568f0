"""Readings of the machine's processors: psutil, hwmon and RAPL where they can be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from drivers.cpu.sysfs import read_number
from drivers.errors import NotSupported

#: hwmon drivers that measure a processor's package, and their label where there are several.
PACKAGE_SENSORS = ("k10temp", "zenpower", "coretemp", "cpu_thermal", "cpu-thermal")


class Sensors:
    """Reads below ``root``; rates need a reading before, so the first one lacks them."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._powercap = root / "sys/class/powercap"
        self._edac = root / "sys/devices/system/edac/mc"
        self._processors = root / "sys/devices/system/cpu"
        self._last_busy: tuple[float, float] | None = None
        self._last_energy: tuple[float, float] | None = None

    def readers(self) -> dict[str, Callable[[], float]]:
        """Reader by telemetry field, for `drivers.base.read_telemetry`."""
        return {
            "utilisation_ratio": self.read_utilisation,
            "memory_used_bytes": lambda: float(_memory_used_bytes()),
            "memory_total_bytes": lambda: float(psutil.virtual_memory().total),
            "temperature_celsius": read_temperature,
            "energy_joules": self.read_energy,
            "power_watts": self.read_power,
            "clock_hertz": read_clock,
            "ecc_corrected_count": lambda: self.read_memory_errors("ce_count"),
            "ecc_uncorrected_count": lambda: self.read_memory_errors("ue_count"),
            "throttle_count": self.read_throttling,
        }

    def read_utilisation(self) -> float:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        now, last = (sum(times) - idle, sum(times)), self._last_busy
        self._last_busy = now
        if last is None or now[1] <= last[1]:
            raise NotSupported("a rate comes with the second reading")
        return min(max((now[0] - last[0]) / (now[1] - last[1]), 0.0), 1.0)

    def read_energy(self) -> float:
        """Joules counted by all packages since their counters began."""
        zones = sorted(self._powercap.glob("intel-rapl:?"))
        if not zones:
            raise NotSupported("no RAPL energy counter here (virtual machine or no driver)")
        return sum(read_number(zone / "energy_uj") for zone in zones) / 1e6

    def read_memory_errors(self, counter: str) -> float:
        """Since the machine started, by the memory controllers (kernel's EDAC)."""
        controllers = sorted(self._edac.glob("mc[0-9]*"))
        if not controllers:
            raise NotSupported("no memory controller tells its errors (no ECC, or no EDAC driver)")
        return float(sum(read_number(one / counter) for one in controllers))

    def read_throttling(self) -> float:
        """How often a package was slowed down by heat, since the machine started."""
        pattern = "cpu[0-9]*/thermal_throttle/package_throttle_count"
        counters = sorted(self._processors.glob(pattern))
        if not counters:
            raise NotSupported("the kernel counts no throttling of this processor")
        return float(max(read_number(one) for one in counters))

    def read_power(self) -> float:
        """Mean watts since the reading before."""
        now, last = (time.monotonic(), self.read_energy()), self._last_energy
        self._last_energy = now
        if last is None or now[0] <= last[0]:
            raise NotSupported("a rate comes with the second reading")
        if now[1] < last[1]:
            raise NotSupported("the energy counter started again; the next reading is good")
        return (now[1] - last[1]) / (now[0] - last[0])


def read_temperature() -> float:
    """Celsius of the hottest package sensor."""
    sensors = psutil.sensors_temperatures()
    readings = [r.current for name in PACKAGE_SENSORS for r in sensors.get(name, [])]
    if not readings:
        raise NotSupported("no processor temperature sensor in hwmon (virtual machine?)")
    return float(max(readings))


def read_clock() -> float:
    """Mean clock of all cores, hertz."""
    clock = psutil.cpu_freq()
    if clock is None or not clock.current:
        raise NotSupported("the kernel tells no processor clock")
    return float(clock.current) * 1e6


def _memory_used_bytes() -> int:
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)
