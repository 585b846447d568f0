"""AMD SMI, where it loads: readings that amdgpu's files do not offer.

``amdsmi`` binds every symbol of ``libamd_smi.so`` when it is imported, so an older library, or
none, shows as an error of many kinds there. It is then left alone: the files tell the most.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable
from typing import Any

from drivers.errors import NotSupported

#: NVML's bit for a slow-down by the hardware; amdsmi tells only that there is one.
HARDWARE_SLOWDOWN = 0x8


@functools.cache
def _library() -> Any | str:
    """The module, started; or why there is none."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints where it finds no library
        try:
            import amdsmi

            amdsmi.amdsmi_init()
        except (ImportError, OSError, KeyError, AttributeError) as error:
            return f"amdsmi cannot be loaded: {error}"
        except amdsmi.AmdSmiException as error:
            return f"amdsmi does not start: {error}"
    return amdsmi


def why_not() -> str:
    """Why amdsmi is not used here; empty where it is."""
    found = _library()
    return found if isinstance(found, str) else ""


def readers(slot: str) -> dict[str, Callable[[], float]]:
    """Reader by telemetry field, of the GPU at a PCI address; none without amdsmi."""
    library = _library()
    if isinstance(library, str):
        return {}
    gpu = _Gpu(library, slot)
    return {
        "energy_joules": gpu.read_energy,
        "memory_utilisation_ratio": lambda: gpu.read_metric("average_umc_activity") / 100,
        "voltage_volts": lambda: gpu.read_metric("voltage_gfx") / 1e3,
        "throttle_bits": lambda: gpu.read_metric("throttle_status") * HARDWARE_SLOWDOWN,
        "ecc_corrected_count": lambda: gpu.read_errors("correctable_count"),
        "ecc_uncorrected_count": lambda: gpu.read_errors("uncorrectable_count"),
        "retired_memory_count": lambda: float(len(gpu.ask("amdsmi_get_gpu_bad_page_info"))),
        "process_count": lambda: float(len(gpu.ask("amdsmi_get_gpu_process_list"))),
    }


class _Gpu:
    def __init__(self, library: Any, slot: str) -> None:
        self._library = library
        self._slot = slot

    def ask(self, function: str) -> Any:
        """Raises `NotSupported` with amdsmi's reason."""
        library = self._library
        try:
            handle = library.amdsmi_get_processor_handle_from_bdf(self._slot)
            return getattr(library, function)(handle)
        except library.AmdSmiException as error:
            reason = " ".join(str(error).split())
            raise NotSupported(f"amdsmi: {reason}") from None

    def read_metric(self, name: str) -> float:
        value = self.ask("amdsmi_get_gpu_metrics_info")[name]
        if isinstance(value, str):
            raise NotSupported(f"this GPU's metrics hold no {name}")
        return float(value)

    def read_errors(self, kind: str) -> float:
        return float(self.ask("amdsmi_get_gpu_total_ecc_count")[kind])

    def read_energy(self) -> float:
        """Joules since the driver was loaded; the counter's resolution is in microjoules."""
        count = self.ask("amdsmi_get_energy_count")
        return float(count["energy_accumulator"] * count["counter_resolution"] / 1e6)
