"""Family ``cuda``: NVIDIA GPUs, found, read and limited through NVML. Those that CuPy sees
search for cycles (capability CUCKOO) and run models (INFER)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pynvml

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
from drivers.controls import Controlled, Controls, Setting
from drivers.cuda import events, mig, nvml, telemetry
from drivers.cuda.controls import list_controls
from drivers.cuda.xid import XidLog
from drivers.errors import DeviceLost, DriverError, DriverMissing, NotSupported
from drivers.kernels.gpu import session

THERMAL_BITS = (
    pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown
)
NVIDIA_VENDOR = "0x10de"


@dataclass(frozen=True)
class Record:
    """What is remembered of a GPU between two discoveries."""

    originals: dict[str, Setting] = field(default_factory=dict)
    """What its controls were when it was first seen."""
    clock_locks: dict[str, Setting] = field(default_factory=dict)


class CudaDevice(Controlled):
    """One GPU, known by its UUID: its index may change when another is lost."""

    def __init__(self, info: DeviceInfo, xids: XidLog, record: Record) -> None:
        self.info = info
        self._xids = xids
        self.controls = Controls(
            info.id, list_controls(self._handle, record.clock_locks), record.originals
        )

    def snapshot(self) -> Telemetry:
        """Raises `DeviceLost` when the GPU has gone."""
        otherwise = "NVML has no such reading"
        return read_telemetry(self.info.id, telemetry.readers(self._handle()), otherwise)

    def health(self) -> Health:
        try:
            handle = self._handle()
            with nvml.translated_errors():
                telemetry.read_temperature(handle)
        except nvml.ResetRequired as error:
            return Health(HealthStatus.NEEDS_RESET, ("reset_required",), str(error))
        except DeviceLost as error:
            codes = ("gpu_lost", *self._xids.codes(self._uuid))
            return Health(HealthStatus.LOST, codes, str(error))
        except DriverError as error:
            return Health(HealthStatus.DEGRADED, ("no_temperature",), str(error))
        return self._xids.health(self._uuid) or self._read_health(handle)

    def open(self, capability: Capability, **options: Any) -> Session:
        """Options: see ``open_search`` and ``open_infer`` of `drivers.kernels.gpu.session`."""
        if capability not in self.info.capabilities:
            reason = self.info.details.get(str(capability), "CUDA devices do not compute that yet")
            raise NotSupported(f"{self.info.id} has no capability {capability}: {reason}")
        return session.open_session(self.info.parent, capability, **options)

    def variants(self, capability: Capability, edge_bits: int) -> Sequence[Mapping[str, Any]]:
        return session.variants(edge_bits) if capability == Capability.CUCKOO else ({},)

    @property
    def _uuid(self) -> str:
        return self.info.hardware_id

    def _handle(self) -> Any:
        nvml.start()
        with nvml.translated_errors():
            return pynvml.nvmlDeviceGetHandleByUUID(self._uuid)

    def _read_health(self, handle: Any) -> Health:
        bits = telemetry.read_or_none(lambda: telemetry.read_throttle_bits(handle))
        if bits and int(bits) & THERMAL_BITS:
            return Health(HealthStatus.DEGRADED, ("temperature_high",), "slowed down by heat")
        if bits and int(bits) & pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown:
            reason = "slowed down by the power brake: check cables and supply"
            return Health(HealthStatus.DEGRADED, ("power_brake",), reason)
        return self._read_memory_health(handle)

    def _read_memory_health(self, handle: Any) -> Health:
        pending, failed = telemetry.find_remaps(handle)
        if failed:
            reason = "a memory row could not be remapped: the GPU has to be replaced"
            return Health(HealthStatus.DEGRADED, ("memory_remap_failed",), reason)
        if pending:
            reason = "a memory row waits to be remapped: reset the GPU"
            return Health(HealthStatus.NEEDS_RESET, ("memory_remap_pending",), reason)
        errors = telemetry.read_or_none(lambda: telemetry.read_ecc_errors(handle))
        if errors:
            reason = f"{errors:.0f} uncorrected memory errors since the driver was loaded"
            return Health(HealthStatus.DEGRADED, ("ecc_uncorrected",), reason)
        return Health(HealthStatus.OK)


class Driver:
    family = "cuda"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root`` holds the ``sys`` tree in which GPUs without a driver are looked for."""
        self._root = root
        self._xids = XidLog()
        self._records: dict[str, Record] = defaultdict(Record)

    def probe(self) -> Probe:
        try:
            nvml.start()
            with nvml.translated_errors():
                count = pynvml.nvmlDeviceGetCount()
        except DriverError as error:
            return self._explain(error)
        if count == 0:
            return Probe(ProbeStatus.ABSENT, "the NVIDIA driver is here, but no GPU")
        return Probe(ProbeStatus.PASS)

    def discover(self) -> Sequence[CudaDevice]:
        """GPUs in NVML's order; one that is lost already is left out.

        Raises `DriverMissing` without a working driver.
        """
        nvml.start()
        with nvml.translated_errors():
            count = pynvml.nvmlDeviceGetCount()
        found = (self._discover_one(index) for index in range(count))
        return [device for device in found if device is not None]

    def watch(self, callback: Callable[[str], None]) -> Callable[[], None] | None:
        """Report XID events, until the returned function is called."""
        nvml.start()
        try:
            return events.listen(self._xids, callback)
        except NotSupported:
            return None

    def _discover_one(self, index: int) -> CudaDevice | None:
        try:
            with nvml.translated_errors():
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                info = _describe(index, handle)
            return CudaDevice(info, self._xids, self._records[info.hardware_id])
        except DeviceLost:
            return None

    def _explain(self, error: DriverError) -> Probe:
        """Without an NVIDIA GPU on the bus the family is absent; with one it is broken."""
        if not isinstance(error, DriverMissing):
            return Probe(ProbeStatus.BROKEN, str(error))
        if _has_gpu(self._root):
            return Probe(ProbeStatus.BROKEN, f"an NVIDIA GPU is on the PCI bus, but {error}")
        return Probe(ProbeStatus.ABSENT, str(error))


def _describe(index: int, handle: Any) -> DeviceInfo:
    name, uuid = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetUUID(handle)
    pci = pynvml.nvmlDeviceGetPciInfo(handle)
    bus, ids = pci.busId, int(pci.pciDeviceId)
    bus = bus.decode() if isinstance(bus, bytes) else bus
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    details = {
        "compute_capability": f"{major}.{minor}",
        "pci_id": f"{ids & 0xFFFF:04x}:{ids >> 16:04x}",
    }
    instances = mig.list_instances(handle)
    if instances is not None:
        details["mig"] = ", ".join(instances) or "on, without instances"
    if reason := _why_no_work(instances, bus):
        details |= {str(capability): reason for capability in session.CAPABILITIES}
    return DeviceInfo(
        id=f"cuda:{index}",
        hardware_id=uuid,
        family="cuda",
        model=name,
        capabilities=frozenset() if reason else session.CAPABILITIES,
        memory_bytes=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
        driver_version=pynvml.nvmlSystemGetDriverVersion(),
        parent=bus,
        details=details,
    )


def _why_no_work(mig_instances: list[str] | None, bus: str) -> str:
    if mig_instances is not None:
        return "MIG is on; `nvidia-smi -mig 0` gives the whole GPU back"
    reason = session.why_not(bus)
    return f"{reason}; `pip install 'farmctl[cuda]'` adds CuPy" if reason else ""


def _has_gpu(root: Path) -> bool:
    """Whether a display or 3D controller of NVIDIA is on the PCI bus."""
    for device in (root / "sys/bus/pci/devices").glob("*"):
        try:
            vendor = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
        except OSError:
            continue
        if vendor == NVIDIA_VENDOR and kind.startswith("0x03"):
            return True
    return False
