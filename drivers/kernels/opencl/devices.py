"""OpenCL devices of this machine, and pyopencl's errors as ours."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from drivers.errors import DeviceLost, DriverError, DriverMissing, NotSupported, OutOfMemory

EXTRA = "opencl"
MAX_LOCAL_BYTES = 64 << 10
"""A processor claims its whole cache as local memory; counters are quickest in a part of it."""
#: Status codes of OpenCL after which a device answers no more (the last is NVIDIA's own).
LOST_CODES = {
    -1: "is not found",
    -2: "is not available",
    -14: "failed at an earlier command",
    -33: "is no device any more",
    -34: "has lost its context",
    -36: "has lost its queue",
    -9999: "was given up by its driver",
}
MEMORY_CODES = {
    -4: "has no memory left",
    -5: "has no resources left",
    -6: "finds no memory left on the host",
    -61: "gives no buffer of this size",
}
PCI_BUS_INFO_KHR = 0x410F


@dataclass(frozen=True)
class OpenClDevice:
    """What OpenCL tells of a device."""

    handle: Any
    """pyopencl's device."""
    name: str
    platform: str
    vendor_id: int
    """PCI vendor, for GPUs."""
    kind: str
    """``gpu``, ``cpu`` or ``accelerator``."""
    driver_version: str
    memory_bytes: int
    max_allocation_bytes: int
    local_bytes: int
    pci_address: str | None
    """E.g. ``0000:03:00.0``; None where the vendor's OpenCL does not tell."""

    @property
    def usable_local_bytes(self) -> int:
        return min(self.local_bytes, MAX_LOCAL_BYTES)


def load() -> Any:
    """The module pyopencl. Raises `DriverMissing`."""
    try:
        return importlib.import_module("pyopencl")
    except ImportError as error:
        reason = f"pyopencl is not installed; `pip install 'farmctl[{EXTRA}]'` adds it"
        if not isinstance(error, ModuleNotFoundError):
            reason = f"pyopencl cannot be loaded: {error}"
        raise DriverMissing(reason) from None


def list_devices() -> list[OpenClDevice]:
    """Devices of all platforms, each physical one once. Raises `DriverMissing` without pyopencl
    or any platform."""
    opencl = load()
    try:
        platforms = opencl.get_platforms()
    except opencl.Error:
        raise DriverMissing("no OpenCL platform is installed") from None
    found = [device for platform in platforms for device in _list_platform(opencl, platform)]
    return _drop_repeated(found)


@contextmanager
def translated_errors(device: str) -> Iterator[None]:
    """Raise pyopencl's errors as `DeviceLost`, `OutOfMemory` or `DriverError`."""
    opencl = load()
    try:
        yield
    except opencl.Error as error:
        code = getattr(error, "code", None)
        if code in MEMORY_CODES:
            raise OutOfMemory(
                f"{device} {MEMORY_CODES[code]} ({error}); give the session a smaller "
                "memory_limit_bytes, or end what else uses the device"
            ) from error
        if code in LOST_CODES:
            raise DeviceLost(f"{device} {LOST_CODES[code]} ({error})") from error
        raise DriverError(f"{device}: {error}") from error


def _list_platform(opencl: Any, platform: Any) -> list[OpenClDevice]:
    """A platform without a device, or whose driver fails, has none."""
    try:
        return [_describe(opencl, platform, device) for device in platform.get_devices()]
    except opencl.Error:
        return []


def _describe(opencl: Any, platform: Any, device: Any) -> OpenClDevice:
    kinds = {opencl.device_type.GPU: "gpu", opencl.device_type.CPU: "cpu"}
    kind = next((name for bit, name in kinds.items() if device.type & bit), "accelerator")
    return OpenClDevice(
        handle=device,
        name=device.name.strip(),
        platform=platform.name.strip(),
        vendor_id=device.vendor_id,
        kind=kind,
        driver_version=device.driver_version.strip(),
        memory_bytes=int(device.global_mem_size),
        max_allocation_bytes=int(device.max_mem_alloc_size),
        local_bytes=int(device.local_mem_size),
        pci_address=_read_pci_address(opencl, device),
    )


def _read_pci_address(opencl: Any, device: Any) -> str | None:
    for read in (_read_khronos_address, _read_amd_address, _read_nvidia_address):
        try:
            return "{:04x}:{:02x}:{:02x}.{:x}".format(*read(opencl, device))
        except (opencl.Error, AttributeError, NotSupported):
            continue
    return None


def _read_khronos_address(opencl: Any, device: Any) -> tuple[int, ...]:
    """By cl_khr_pci_bus_info, which pyopencl does not know: domain, bus, device, function."""
    loader = ctypes.CDLL(opencl._cl.__file__)  # Finds the functions of the loader it uses.
    address = (ctypes.c_uint32 * 4)()
    handle = ctypes.c_void_p(device.int_ptr)
    size = ctypes.c_size_t(ctypes.sizeof(address))
    status = loader.clGetDeviceInfo(handle, PCI_BUS_INFO_KHR, size, address, None)
    if status:
        raise NotSupported(f"no cl_khr_pci_bus_info (status {status})")
    return tuple(address)


def _read_amd_address(_opencl: Any, device: Any) -> tuple[int, ...]:
    info = device.topology_amd
    return 0, info.bus & 0xFF, info.device, info.function


def _read_nvidia_address(_opencl: Any, device: Any) -> tuple[int, ...]:
    slot = device.pci_slot_id_nv
    return device.pci_domain_id_nv, device.pci_bus_id_nv, slot >> 3, slot & 7


def _drop_repeated(devices: list[OpenClDevice]) -> list[OpenClDevice]:
    """Two platforms may offer the same card; the first is taken."""
    taken: dict[str, OpenClDevice] = {}
    for number, device in enumerate(devices):
        taken.setdefault(device.pci_address or f"unknown {number}", device)
    return list(taken.values())
