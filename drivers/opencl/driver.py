"""Family ``opencl``: GPUs that only OpenCL reaches, such as Intel's.

NVIDIA's are of the family ``cuda``, and what the amdgpu kernel driver runs is of ``rocm``, which
computes through OpenCL too where ROCm is not installed. Processors are already the family
``cpu``; ``FARMCTL_OPENCL_CPU=1`` offers them here as well, to try the kernels without a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers.base import (
    Capability,
    DeviceInfo,
    Health,
    HealthStatus,
    Probe,
    ProbeStatus,
    Session,
    Telemetry,
    read_telemetry,
)
from drivers.controls import Controlled
from drivers.errors import DeviceLost, DriverError, DriverMissing, NotSupported
from drivers.kernels.opencl import session
from drivers.kernels.opencl.devices import OpenClDevice, list_devices
from drivers.opencl.sysfs import PciGpu

CPU_VARIABLE = "FARMCTL_OPENCL_CPU"
NVIDIA_VENDOR = 0x10DE
AMD_DRIVER = "amdgpu"
HOT_CELSIUS = 100.0


class OpenClGpu(Controlled):
    """One device, known by its PCI address where OpenCL tells it."""

    def __init__(self, info: DeviceInfo, device: OpenClDevice, files: PciGpu | None) -> None:
        self.info = info
        self._device = device
        self._files = files

    def snapshot(self) -> Telemetry:
        """Raises `DeviceLost` when the GPU has gone."""
        readers: dict[str, Callable[[], float]] = {
            "memory_total_bytes": lambda: float(self._device.memory_bytes)
        }
        otherwise = "OpenCL tells nothing of it"
        if self._files is not None:
            readers |= self._files.readers()
            otherwise = "neither OpenCL nor the kernel driver tells it"
        return read_telemetry(self.info.id, readers, otherwise)

    def health(self) -> Health:
        if self._files is None:
            return Health(HealthStatus.OK, reason="OpenCL tells nothing of its state")
        try:
            celsius = self._files.read_temperature()
        except DeviceLost as error:
            return Health(HealthStatus.LOST, ("gpu_lost",), str(error))
        except DriverError as error:
            return Health(HealthStatus.OK, reason=str(error))
        if celsius >= HOT_CELSIUS:
            return Health(HealthStatus.DEGRADED, ("temperature_high",), f"{celsius:.0f} °C")
        return Health(HealthStatus.OK)

    def open(self, capability: Capability, **options: Any) -> Session:
        """Options: see ``open_search`` and ``open_infer`` in `drivers.kernels.opencl.session`."""
        if capability not in self.info.capabilities:
            raise NotSupported(f"{self.info.id} has no capability {capability}")
        return session.open_session(self._device, capability, **options)

    def variants(self, capability: Capability, edge_bits: int) -> Sequence[Mapping[str, Any]]:
        """See `drivers.base.Tunable`."""
        return session.variants(self._device) if capability == Capability.CUCKOO else ({},)


class Driver:
    family = "opencl"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root`` holds the ``sys`` tree."""
        self._root = root

    def probe(self) -> Probe:
        try:
            listed = list_devices()
        except DriverMissing as error:
            return Probe(ProbeStatus.ABSENT, str(error))
        if any(self._is_ours(device) for device in listed):
            return Probe(ProbeStatus.PASS)
        names = ", ".join(f"{d.name} ({d.kind})" for d in listed) or "no device"
        hint = f"; {CPU_VARIABLE}=1 offers processors" if _has_processor(listed) else ""
        return Probe(ProbeStatus.ABSENT, f"no GPU that only OpenCL reaches: {names}{hint}")

    def discover(self) -> Sequence[OpenClGpu]:
        """Devices in the order of OpenCL's platforms. Raises `DriverMissing`."""
        ours = [device for device in list_devices() if self._is_ours(device)]
        return [self._describe(index, device) for index, device in enumerate(ours)]

    def watch(self, callback: Callable[[str], None]) -> None:
        """No events; the caller polls."""

    def _is_ours(self, device: OpenClDevice) -> bool:
        if device.kind == "cpu":
            return os.environ.get(CPU_VARIABLE) == "1"
        if device.kind != "gpu" or device.vendor_id == NVIDIA_VENDOR:
            return False
        files = self._find_files(device)
        return files is None or files.kernel_driver != AMD_DRIVER

    def _find_files(self, device: OpenClDevice) -> PciGpu | None:
        return None if device.pci_address is None else PciGpu(self._root, device.pci_address)

    def _describe(self, index: int, device: OpenClDevice) -> OpenClGpu:
        files = self._find_files(device)
        info = DeviceInfo(
            id=f"opencl:{index}",
            hardware_id=f"opencl-{device.pci_address or f'{index}-{device.name}'}",
            family=self.family,
            model=device.name,
            capabilities=session.CAPABILITIES,
            memory_bytes=device.memory_bytes,
            driver_version=device.driver_version,
            parent=device.pci_address or "",
            details={
                "platform": device.platform,
                "kind": device.kind,
                "local_memory_bytes": str(device.local_bytes),
                "max_allocation_bytes": str(device.max_allocation_bytes),
                "kernel_driver": files.kernel_driver if files else "",
            },
        )
        return OpenClGpu(info, device, files)


def _has_processor(devices: Sequence[OpenClDevice]) -> bool:
    return any(device.kind == "cpu" for device in devices)
