"""Family ``cuda``: NVIDIA GPUs, found, read and limited through NVML. Those that CuPy sees
search for cycles (capability CUCKOO)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pynvml

from drivers.base import (
    Applied,
    Capability,
    DeviceInfo,
    Health,
    HealthStatus,
    Limits,
    Probe,
    ProbeStatus,
    Session,
    Telemetry,
    read_telemetry,
)
from drivers.cuda import nvml, telemetry
from drivers.cuda.xid import CRITICAL, XidLog
from drivers.errors import DeviceLost, DriverError, DriverMissing, NotSupported
from drivers.kernels.gpu import session

POWER_LIMIT = "power_limit_watts"
THERMAL_BITS = (
    pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown
)
EVENT_WAIT_MS = 500
NVIDIA_VENDOR = "0x10de"


class CudaDevice:
    """One GPU, known by its UUID: its index may change when another is lost."""

    def __init__(self, info: DeviceInfo, xids: XidLog, original_limit_watts: float | None) -> None:
        self.info = info
        self._xids = xids
        self._original_limit_watts = original_limit_watts

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

    def limits(self) -> Mapping[str, Limits]:
        """The power limit, in watts, where this GPU has one."""
        try:
            handle = self._handle()
            with nvml.translated_errors():
                low, high = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
                default = pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)
        except NotSupported:
            return {}
        return {POWER_LIMIT: Limits(low / 1e3, high / 1e3, default / 1e3)}

    def apply(self, control: str, value: float) -> Applied:
        """Set the power limit. Raises `PermissionDenied` without root."""
        if (limits := self.limits().get(control)) is None:
            raise NotSupported(f"{self.info.id} has no control {control!r}")
        handle = self._handle()
        watts = min(max(value, limits.minimum), limits.maximum)
        with nvml.translated_errors():
            before = pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, round(watts * 1e3))
            read_back = pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3
        return Applied(control, before, value, read_back)

    def restore(self) -> None:
        """Put the power limit back to what it was when this process first saw the GPU."""
        if self._original_limit_watts is None:
            return
        handle = self._handle()
        with nvml.translated_errors():
            if pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3 == self._original_limit_watts:
                return
        self.apply(POWER_LIMIT, self._original_limit_watts)

    def open(self, capability: Capability, **options: Any) -> Session:
        """Options of CUCKOO: see `drivers.kernels.gpu.session.open_search`."""
        if capability not in self.info.capabilities:
            reason = self.info.details.get(str(capability), "CUDA devices do not compute that yet")
            raise NotSupported(f"{self.info.id} has no capability {capability}: {reason}")
        return session.open_search(self.info.parent, **options)

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
        self._original_limits_watts: dict[str, float | None] = {}

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
            events = self._register_events()
        except NotSupported:
            return None
        ended = threading.Event()
        thread = threading.Thread(
            target=self._listen, args=(events, ended, callback), name="xid-events", daemon=True
        )
        thread.start()

        def end() -> None:
            ended.set()
            thread.join()

        return end

    def _discover_one(self, index: int) -> CudaDevice | None:
        try:
            with nvml.translated_errors():
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                info = _describe(index, handle)
        except DeviceLost:
            return None
        uuid = info.hardware_id
        if uuid not in self._original_limits_watts:
            self._original_limits_watts[uuid] = telemetry.read_or_none(
                lambda: pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3
            )
        return CudaDevice(info, self._xids, self._original_limits_watts[uuid])

    def _explain(self, error: DriverError) -> Probe:
        """Without an NVIDIA GPU on the bus the family is absent; with one it is broken."""
        if not isinstance(error, DriverMissing):
            return Probe(ProbeStatus.BROKEN, str(error))
        if _has_gpu(self._root):
            return Probe(ProbeStatus.BROKEN, f"an NVIDIA GPU is on the PCI bus, but {error}")
        return Probe(ProbeStatus.ABSENT, str(error))

    def _register_events(self) -> Any:
        with nvml.translated_errors():
            events = pynvml.nvmlEventSetCreate()
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                pynvml.nvmlDeviceRegisterEvents(
                    handle, pynvml.nvmlEventTypeXidCriticalError, events
                )
        return events

    def _listen(self, events: Any, ended: threading.Event, callback: Callable[[str], None]) -> None:
        while not ended.is_set():
            try:
                event = pynvml.nvmlEventSetWait(events, EVENT_WAIT_MS)
                uuid, xid = pynvml.nvmlDeviceGetUUID(event.device), int(event.eventData)
            except pynvml.NVMLError_Timeout:
                continue
            except pynvml.NVMLError as error:
                callback(f"NVML events ended: {error}")
                return
            self._xids.add(uuid, xid)
            callback(f"{uuid}: XID {xid}, {CRITICAL.get(xid, 'see NVIDIA’s list of XIDs')}")


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
    if reason := session.why_not(bus):
        details[str(Capability.CUCKOO)] = f"{reason}; `pip install 'farmctl[cuda]'` adds CuPy"
    return DeviceInfo(
        id=f"cuda:{index}",
        hardware_id=uuid,
        family="cuda",
        model=name,
        capabilities=frozenset() if reason else frozenset({Capability.CUCKOO}),
        memory_bytes=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
        driver_version=pynvml.nvmlSystemGetDriverVersion(),
        parent=bus,
        details=details,
    )


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
