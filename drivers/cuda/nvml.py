"""NVML through pynvml: start it, and turn its errors into ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pynvml

from drivers.errors import (
    BadArgument,
    DeadlineExceeded,
    DeviceBusy,
    DeviceLost,
    DriverError,
    DriverMissing,
    NotSupported,
    PermissionDenied,
)


class ResetRequired(DeviceLost):
    """The GPU must be reset before it works again."""


#: NVML's code to our error and what to tell.
_ERRORS: dict[int, tuple[type[DriverError], str]] = {
    pynvml.NVML_ERROR_INVALID_ARGUMENT: (BadArgument, "NVML refuses the value"),
    pynvml.NVML_ERROR_NOT_SUPPORTED: (NotSupported, "this GPU has no such function"),
    pynvml.NVML_ERROR_NO_PERMISSION: (PermissionDenied, "NVML wants root; run the agent as root"),
    pynvml.NVML_ERROR_NOT_FOUND: (DeviceLost, "the GPU is not there any more"),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        DriverMissing,
        "the NVIDIA kernel module is not loaded; `modprobe nvidia` or reinstall the driver",
    ),
    pynvml.NVML_ERROR_TIMEOUT: (DeadlineExceeded, "the NVIDIA driver did not answer in time"),
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        DriverMissing,
        "libnvidia-ml.so.1 not found: no NVIDIA driver is installed",
    ),
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: (NotSupported, "the NVIDIA driver is too old for this"),
    pynvml.NVML_ERROR_GPU_IS_LOST: (
        DeviceLost,
        "the GPU has fallen off the bus; power-cycle the rig and check riser and supply",
    ),
    pynvml.NVML_ERROR_RESET_REQUIRED: (
        ResetRequired,
        "the GPU must be reset before it works again",
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        DriverMissing,
        "NVIDIA's library and kernel module differ in version; reboot after a driver update",
    ),
    pynvml.NVML_ERROR_IN_USE: (DeviceBusy, "the GPU is in use"),
}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise our error for each of NVML's."""
    try:
        yield
    except pynvml.NVMLError as error:
        kind, text = _ERRORS.get(error.value, (DriverError, f"NVML: {error}"))
        raise kind(text) from error


def start() -> None:
    """Initialise NVML; repeating it is cheap and picks up a driver that came later.

    Raises `DriverMissing` with the reason when it cannot be.
    """
    with translated_errors():
        pynvml.nvmlInit()
