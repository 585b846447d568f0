"""What can be set on processors: the package's power limit through the kernel's powercap files and
the highest clock through cpufreq (kernel documentation, "Power Capping Framework" and "CPU
Performance Scaling"). Both want root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivers.base import CLOCK, POWER_LIMIT, Limits
from drivers.controls import Control, Setting
from drivers.cpu.sysfs import read_number, write_number
from drivers.errors import NotSupported

#: Constraint of a RAPL zone that holds over seconds.
LONG_TERM = "constraint_0"


def list_controls(root: Path = Path("/")) -> dict[str, Control]:
    return {POWER_LIMIT: _power_limit(root), CLOCK: _clock(root)}


def _power_limit(root: Path) -> Control:
    """Watts of all packages together, shared evenly."""

    def zones() -> Sequence[Path]:
        found = sorted((root / "sys/class/powercap").glob("intel-rapl:?"))
        if not found:
            raise NotSupported("no RAPL power limit here (virtual machine or no driver)")
        return found

    def limits() -> Limits:
        highest = sum(read_number(z / f"{LONG_TERM}_max_power_uw") for z in zones()) / 1e6
        if not highest:
            raise NotSupported("RAPL tells no highest power, so no limit is set by it")
        return Limits(highest / 4, highest, highest)

    def read() -> float:
        return sum(read_number(z / f"{LONG_TERM}_power_limit_uw") for z in zones()) / 1e6

    def write(watts: Setting) -> None:
        chosen, found = limits().default if watts is None else watts, zones()
        for zone in found:
            write_number(zone / f"{LONG_TERM}_power_limit_uw", round(chosen * 1e6 / len(found)))

    return Control(limits, read, write)


def _clock(root: Path) -> Control:
    """Hertz that no core goes beyond."""

    def policies() -> Sequence[Path]:
        found = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
        if not found:
            raise NotSupported("the kernel scales no clock here (virtual machine?)")
        return found

    def limits() -> Limits:
        low, high = (
            max(read_number(p / f"cpuinfo_{end}_freq") for p in policies()) * 1e3
            for end in ("min", "max")
        )
        return Limits(low, high, high)

    def read() -> Setting:
        bound = max(read_number(p / "scaling_max_freq") for p in policies()) * 1e3
        return None if bound >= limits().maximum else bound

    def write(hertz: Setting) -> None:
        chosen = limits().maximum if hertz is None else hertz
        for policy in policies():
            write_number(policy / "scaling_max_freq", round(chosen / 1e3))

    return Control(limits, read, write)
