"""Multi-Instance GPU: one GPU cut into several (NVIDIA, "MIG User Guide"). farmctl watches such
a GPU and its instances, and gives them no work."""

from __future__ import annotations

from typing import Any

import pynvml

NOT_HERE = (
    pynvml.NVMLError_NotSupported,
    pynvml.NVMLError_FunctionNotFound,
    pynvml.NVMLError_InvalidArgument,
)


def list_instances(handle: Any) -> list[str] | None:
    """Names of a GPU's instances; None where MIG is off or unknown to the GPU."""
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
        if current != pynvml.NVML_DEVICE_MIG_ENABLE:
            return None
        slots = range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))
    except NOT_HERE:
        return None
    found = (_name(handle, slot) for slot in slots)
    return [name for name in found if name]


def _name(handle: Any, slot: int) -> str:
    try:
        instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot)
    except pynvml.NVMLError_NotFound:
        return ""
    return str(pynvml.nvmlDeviceGetName(instance))
