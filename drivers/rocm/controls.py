"""What can be set on an AMD GPU through amdgpu's sysfs files (kernel documentation,
"GPU Power/Thermal Controls and Monitoring")."""

from __future__ import annotations

from drivers.base import POWER_LIMIT, Limits
from drivers.controls import Control, Setting
from drivers.errors import NotSupported
from drivers.rocm.sysfs import GpuFiles


def list_controls(gpu: GpuFiles) -> dict[str, Control]:
    return {POWER_LIMIT: _power_limit(gpu)}


def _power_limit(gpu: GpuFiles) -> Control:
    """In watts; root may set it."""

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
