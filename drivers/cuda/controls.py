"""What can be set on an NVIDIA GPU through NVML: power limit, clocks, fans (NVML API, "Device
Commands"). All of it wants root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

from drivers.base import CLOCK, FAN, MEMORY_CLOCK, POWER_LIMIT, Limits
from drivers.controls import Control, Setting
from drivers.cuda.nvml import translated_errors

#: NVML hands out a GPU by its UUID; a control asks anew each time, for the GPU may be gone.
Handle = Callable[[], Any]


def list_controls(handle: Handle, locks: dict[str, Setting]) -> dict[str, Control]:
    """Controls by name. ``locks`` remembers the bounds of the clocks, which NVML does not tell."""
    return {
        POWER_LIMIT: _power_limit(handle),
        CLOCK: _ClockLock(handle, locks, CLOCK, pynvml.NVML_CLOCK_SM).control(),
        MEMORY_CLOCK: _ClockLock(handle, locks, MEMORY_CLOCK, pynvml.NVML_CLOCK_MEM).control(),
        FAN: _fan(handle),
    }


def _power_limit(handle: Handle) -> Control:
    """In watts. None puts the board's default back."""

    def limits() -> Limits:
        with translated_errors():
            low, high = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle())
            default = pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle())
        return Limits(low / 1e3, high / 1e3, default / 1e3)

    def read() -> float:
        with translated_errors():
            return float(pynvml.nvmlDeviceGetPowerManagementLimit(handle()) / 1e3)

    def write(watts: Setting) -> None:
        chosen = limits().default if watts is None else watts
        with translated_errors():
            pynvml.nvmlDeviceSetPowerManagementLimit(handle(), round(chosen * 1e3))

    return Control(limits, read, write)


class _ClockLock:
    """The upper bound of a clock, in hertz, by "locked clocks".

    NVML tells no lock back. What this process set counts as read back, unless the clock runs
    above it: then somebody else has taken the lock away, and the clock itself is told.
    """

    def __init__(self, handle: Handle, locks: dict[str, Setting], name: str, clock: int) -> None:
        self._handle, self._locks, self._name, self._clock = handle, locks, name, clock
        self._is_memory = clock == pynvml.NVML_CLOCK_MEM

    def control(self) -> Control:
        return Control(self._limits, self._read, self._write)

    def _limits(self) -> Limits:
        with translated_errors():
            handle = self._handle()
            memory = pynvml.nvmlDeviceGetSupportedMemoryClocks(handle)
            steps = memory
            if not self._is_memory:
                steps = pynvml.nvmlDeviceGetSupportedGraphicsClocks(handle, max(memory))
        return Limits(min(steps) * 1e6, max(steps) * 1e6, max(steps) * 1e6)

    def _read(self) -> Setting:
        bound = self._locks.get(self._name)
        with translated_errors():
            now = pynvml.nvmlDeviceGetClockInfo(self._handle(), self._clock) * 1e6
        return bound if bound is None or now <= bound else now

    def _write(self, hertz: Setting) -> None:
        with translated_errors():
            if hertz is None:
                self._unlock(self._handle())
            else:
                self._lock(self._handle(), round(self._limits().minimum / 1e6), round(hertz / 1e6))
        self._locks[self._name] = None if hertz is None else round(hertz / 1e6) * 1e6

    def _lock(self, handle: Any, low_mhz: int, high_mhz: int) -> None:
        if self._is_memory:
            pynvml.nvmlDeviceSetMemoryLockedClocks(handle, low_mhz, high_mhz)
        else:
            pynvml.nvmlDeviceSetGpuLockedClocks(handle, low_mhz, high_mhz)

    def _unlock(self, handle: Any) -> None:
        if self._is_memory:
            pynvml.nvmlDeviceResetMemoryLockedClocks(handle)
        else:
            pynvml.nvmlDeviceResetGpuLockedClocks(handle)


def _fan(handle: Handle) -> Control:
    """Speed of all fans together, as a share of the fastest. None: by the GPU's own curve."""

    def limits() -> Limits:
        with translated_errors():
            low, high = pynvml.nvmlDeviceGetMinMaxFanSpeed(handle())
        return Limits(low / 100, high / 100, high / 100)

    def read() -> Setting:
        with translated_errors():
            if _curve_rules(handle()):
                return None
            return float(pynvml.nvmlDeviceGetTargetFanSpeed(handle(), 0) / 100)

    def write(ratio: Setting) -> None:
        with translated_errors():
            for fan in range(pynvml.nvmlDeviceGetNumFans(handle())):
                if ratio is None:
                    pynvml.nvmlDeviceSetDefaultFanSpeed_v2(handle(), fan)
                else:
                    pynvml.nvmlDeviceSetFanSpeed_v2(handle(), fan, round(ratio * 100))

    return Control(limits, read, write)


def _curve_rules(handle: Any) -> bool:
    policy = pynvml.nvmlDeviceGetFanControlPolicy_v2(handle, 0)
    return bool(policy == pynvml.NVML_FAN_POLICY_TEMPERATURE_CONTINOUS_SW)
