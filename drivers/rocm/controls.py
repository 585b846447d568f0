"""What can be set on an AMD GPU through amdgpu's files (kernel documentation, "GPU Power/Thermal
Controls and Monitoring"). All of it wants root."""

from __future__ import annotations

import re
from collections.abc import Mapping

from drivers.base import CLOCK, FAN, MEMORY_CLOCK, POWER_LIMIT, Limits
from drivers.controls import Control, Setting
from drivers.errors import NotSupported
from drivers.rocm.sysfs import GpuFiles

LEVEL = "power_dpm_force_performance_level"
AUTOMATIC, MANUAL = "2", "1"  # of pwm1_enable
FAN_FLOOR = "gpu_od/fan_ctrl/fan_minimum_pwm"


def list_controls(gpu: GpuFiles) -> dict[str, Control]:
    """Newer cards (RDNA3) rule their fans themselves, above a lowest speed that can be set."""
    return {
        POWER_LIMIT: _power_limit(gpu),
        CLOCK: _Levels(gpu, "pp_dpm_sclk").control(),
        MEMORY_CLOCK: _Levels(gpu, "pp_dpm_mclk").control(),
        FAN: _fan_floor(gpu) if gpu.has(FAN_FLOOR) else _fan(gpu),
    }


def _power_limit(gpu: GpuFiles) -> Control:
    """In watts. None puts the card's default back."""

    def limits() -> Limits:
        low, high = (gpu.read_hwmon(f"power1_cap_{end}") / 1e6 for end in ("min", "max"))
        try:
            default = gpu.read_hwmon("power1_cap_default") / 1e6
        except NotSupported:
            default = high
        return Limits(low, high, default)

    def read() -> float:
        return gpu.read_hwmon("power1_cap") / 1e6

    def write(watts: Setting) -> None:
        chosen = limits().default if watts is None else watts
        gpu.write_hwmon("power1_cap", round(chosen * 1e6))

    return Control(limits, read, write)


class _Levels:
    """The upper bound of a clock, in hertz, by allowing only the levels up to it.

    amdgpu lists the levels that there are, marks the present one, and does not tell which are
    allowed. What this process allowed counts as read back while the performance level is still
    manual and the clock does not run above it.
    """

    def __init__(self, gpu: GpuFiles, name: str) -> None:
        self._gpu, self._name = gpu, name
        self._bound: float | None = None

    def control(self) -> Control:
        return Control(self._limits, self._read, self._write)

    def _limits(self) -> Limits:
        steps = self._steps().values()
        if self._gpu.read(LEVEL) == "" or len(set(steps)) < 2:
            raise NotSupported(f"amdgpu offers no levels in {self._name} for this GPU")
        return Limits(min(steps), max(steps), max(steps))

    def _read(self) -> Setting:
        if self._bound is None or self._gpu.read(LEVEL) != "manual":
            return None
        now = self._steps(only_present=True)
        return max([*now.values(), self._bound])

    def _write(self, hertz: Setting) -> None:
        if hertz is None:
            self._bound = None
            self._gpu.write(LEVEL, "auto")
            return
        allowed = {level: step for level, step in self._steps().items() if step <= hertz}
        self._gpu.write(LEVEL, "manual")
        self._gpu.write(self._name, " ".join(map(str, allowed)))
        self._bound = max(allowed.values())

    def _steps(self, only_present: bool = False) -> Mapping[int, float]:
        """Hertz by level, of lines like ``1: 1900Mhz *``."""
        text = self._gpu.read(self._name)
        found = re.findall(r"^(\d+):\s*(\d+)\s*mhz\s*(\*?)", text, re.IGNORECASE | re.MULTILINE)
        return {int(n): float(mhz) * 1e6 for n, mhz, mark in found if mark or not only_present}


def _fan(gpu: GpuFiles) -> Control:
    """Duty cycle. None: by the card's own curve."""

    def limits() -> Limits:
        gpu.read_hwmon("pwm1_enable")
        low, high = (gpu.read_hwmon(f"pwm1_{end}") / 255 for end in ("min", "max"))
        return Limits(low, high, high)

    def read() -> Setting:
        if gpu.read_hwmon("pwm1_enable") == int(AUTOMATIC):
            return None
        return round(gpu.read_hwmon("pwm1") / 255, 2)

    def write(ratio: Setting) -> None:
        gpu.write_hwmon("pwm1_enable", int(AUTOMATIC if ratio is None else MANUAL))
        if ratio is not None:
            gpu.write_hwmon("pwm1", round(ratio * 255))

    return Control(limits, read, write)


def _fan_floor(gpu: GpuFiles) -> Control:
    """Lowest duty cycle that the card's own curve may take. None puts its default back."""

    def limits() -> Limits:
        found = re.search(r"MINIMUM_PWM:\s*(\d+)\s+(\d+)", gpu.read(FAN_FLOOR))
        if found is None:
            raise NotSupported(f"{FAN_FLOOR} tells no range")
        low, high = (int(part) / 100 for part in found.groups())
        return Limits(low, high, low)

    def read() -> Setting:
        now = re.search(r"FAN_MINIMUM_PWM:\s*(\d+)", gpu.read(FAN_FLOOR))
        ratio = int(now.group(1)) / 100 if now else None
        return None if ratio == limits().default else ratio

    def write(ratio: Setting) -> None:
        if ratio is None:
            gpu.write(FAN_FLOOR, "r")
            return
        gpu.write(FAN_FLOOR, f"{round(ratio * 100)}")
        gpu.write(FAN_FLOOR, "c")

    return Control(limits, read, write)
