"""Readings of one NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

from drivers.cuda.nvml import translated_errors
from drivers.errors import NotSupported


def readers(handle: Any) -> dict[str, Callable[[], float]]:
    """Reader by telemetry field, for `drivers.base.read_telemetry`."""
    graphics, memory = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
    raw: dict[str, Callable[[], float]] = {
        "utilisation_ratio": lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
        "memory_utilisation_ratio": lambda: (
            pynvml.nvmlDeviceGetUtilizationRates(handle).memory / 100
        ),
        "memory_used_bytes": lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).used,
        "memory_total_bytes": lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).total,
        "temperature_celsius": lambda: read_temperature(handle),
        "memory_temperature_celsius": lambda: _read_memory_temperature(handle),
        "fan_ratio": lambda: pynvml.nvmlDeviceGetFanSpeed(handle) / 100,
        "power_watts": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3,
        "power_limit_watts": lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3,
        "energy_joules": lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3,
        "clock_hertz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, graphics) * 1e6,
        "memory_clock_hertz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, memory) * 1e6,
        "pcie_generation": lambda: pynvml.nvmlDeviceGetCurrPcieLinkGeneration(handle),
        "pcie_width_lanes": lambda: pynvml.nvmlDeviceGetCurrPcieLinkWidth(handle),
        "pcie_receive_bytes_per_second": lambda: read_traffic(
            handle, pynvml.NVML_PCIE_UTIL_RX_BYTES
        ),
        "pcie_send_bytes_per_second": lambda: read_traffic(handle, pynvml.NVML_PCIE_UTIL_TX_BYTES),
        "pcie_replay_count": lambda: pynvml.nvmlDeviceGetPcieReplayCounter(handle),
        "ecc_corrected_count": lambda: read_ecc_errors(
            handle, pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED
        ),
        "ecc_uncorrected_count": lambda: read_ecc_errors(handle),
        "retired_memory_count": lambda: read_retired_memory(handle),
        "process_count": lambda: len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)),
        "throttle_bits": lambda: read_throttle_bits(handle),
    }
    return {field: _translated(reader) for field, reader in raw.items()}


def read_temperature(handle: Any) -> float:
    return float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))


def read_ecc_errors(handle: Any, kind: int = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED) -> float:
    """Memory errors of a kind since the driver was loaded."""
    since_load = pynvml.NVML_VOLATILE_ECC
    return float(pynvml.nvmlDeviceGetTotalEccErrors(handle, kind, since_load))


def read_traffic(handle: Any, direction: int) -> float:
    """Bytes per second over PCIe, as NVML averages them over its last 20 ms."""
    return float(pynvml.nvmlDeviceGetPcieThroughput(handle, direction) * 1024)


def read_retired_memory(handle: Any) -> float:
    """Rows remapped (Ampere and later) or pages retired (before) for good."""
    try:
        corrected, uncorrected, _, _ = pynvml.nvmlDeviceGetRemappedRows(handle)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        causes = range(pynvml.NVML_PAGE_RETIREMENT_CAUSE_COUNT)
        return float(sum(len(pynvml.nvmlDeviceGetRetiredPages(handle, c)) for c in causes))
    return float(corrected + uncorrected)


def find_remaps(handle: Any) -> tuple[bool, bool]:
    """Whether remapping a memory row waits for a reset, and whether it has failed."""
    try:
        with translated_errors():
            _, _, pending, failed = pynvml.nvmlDeviceGetRemappedRows(handle)
    except NotSupported:
        return False, False
    return bool(pending), bool(failed)


def read_throttle_bits(handle: Any) -> int:
    """NVML's bits of what holds the clocks down (``nvmlClocksEventReason…``)."""
    return int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


def _read_memory_temperature(handle: Any) -> float:
    (answer,) = pynvml.nvmlDeviceGetFieldValues(handle, [pynvml.NVML_FI_DEV_MEMORY_TEMP])
    if answer.nvmlReturn != pynvml.NVML_SUCCESS or answer.value.uiVal == 0:
        raise NotSupported("this GPU tells no memory temperature")
    return float(answer.value.uiVal)


def _translated(reader: Callable[[], float]) -> Callable[[], float]:
    def read() -> float:
        with translated_errors():
            return float(reader())

    return read


def read_or_none(reader: Callable[[], float]) -> float | None:
    """A reading that may lack: `DeviceLost` still goes through."""
    try:
        return _translated(reader)()
    except NotSupported:
        return None
