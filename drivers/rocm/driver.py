"""Family ``rocm``: AMD GPUs, found, read and limited through the amdgpu driver's sysfs files.
Those that CuPy for ROCm sees search for cycles (capability CUCKOO) and run models (INFER); without
ROCm they do both through OpenCL, where AMD's or Mesa's is installed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers import udev
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
from drivers.errors import DeviceLost, NotSupported, PermissionDenied
from drivers.kernels.gpu import session
from drivers.kernels.opencl import session as opencl_session
from drivers.kernels.opencl.devices import OpenClDevice
from drivers.rocm import smi, sysfs
from drivers.rocm.controls import list_controls
from drivers.rocm.sysfs import GpuFiles

#: Used where the GPU tells no limit of its own.
HOT_CELSIUS = 105.0
PRODUCT_NAMES = "usr/share/libdrm/amdgpu.ids"
CHIP_NAMES = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids")


class RocmDevice(Controlled):
    """One GPU, known by its unique id or else its PCI address."""

    def __init__(
        self,
        info: DeviceInfo,
        gpu: GpuFiles,
        controls: Controls,
        opencl: OpenClDevice | None = None,
    ) -> None:
        """``opencl`` is what computes, where ROCm does not."""
        self.info = info
        self.controls = controls
        self._gpu = gpu
        self._opencl = opencl

    def snapshot(self) -> Telemetry:
        """Raises `DeviceLost` when the GPU has gone."""
        otherwise = "; ".join(filter(None, ("not among amdgpu's sysfs files", smi.why_not())))
        readers = sysfs.readers(self._gpu)
        for field, reader in smi.readers(self.info.parent).items():
            readers[field] = _either(readers[field], reader) if field in readers else reader
        return read_telemetry(self.info.id, readers, otherwise)

    def health(self) -> Health:
        try:
            celsius = sysfs.read_temperature(self._gpu)
            errors = _read_or_none(lambda: sysfs.read_ecc_errors(self._gpu))
            hot = _read_or_none(lambda: sysfs.read_critical(self._gpu)) or HOT_CELSIUS
        except DeviceLost as error:
            return Health(HealthStatus.LOST, ("gpu_lost",), str(error))
        except (NotSupported, PermissionDenied) as error:
            return Health(HealthStatus.DEGRADED, ("no_temperature",), str(error))
        if celsius >= hot:
            return Health(HealthStatus.DEGRADED, ("temperature_high",), f"{celsius:.0f} °C")
        if errors:
            reason = f"{errors:.0f} uncorrected memory errors"
            return Health(HealthStatus.DEGRADED, ("ecc_uncorrected",), reason)
        return Health(HealthStatus.OK)

    def open(self, capability: Capability, **options: Any) -> Session:
        """Options: see ``open_search`` and ``open_infer`` in `drivers.kernels.gpu.session`, and
        without ROCm those in `drivers.kernels.opencl.session`."""
        if capability not in self.info.capabilities:
            reason = self.info.details.get(str(capability), "ROCm devices do not compute that yet")
            raise NotSupported(f"{self.info.id} has no capability {capability}: {reason}")
        if self._opencl is not None:
            return opencl_session.open_session(self._opencl, capability, **options)
        return session.open_session(self.info.parent, capability, **options)

    def variants(self, capability: Capability, edge_bits: int) -> Sequence[Mapping[str, Any]]:
        if capability != Capability.CUCKOO:
            return ({},)
        if self._opencl is not None:
            return opencl_session.variants(self._opencl)
        return session.variants(edge_bits)


class Driver:
    family = "rocm"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root`` holds the ``sys`` tree."""
        self._root = root
        self._originals: dict[str, dict[str, Setting]] = defaultdict(dict)

    def probe(self) -> Probe:
        if sysfs.find_gpus(self._root):
            return Probe(ProbeStatus.PASS)
        if not sysfs.count_on_bus(self._root):
            return Probe(ProbeStatus.ABSENT, "no AMD GPU on the PCI bus")
        reason = "an AMD GPU is on the PCI bus, but the amdgpu kernel driver does not drive it"
        if not (self._root / "sys/module/amdgpu").exists():
            reason += "; `modprobe amdgpu` loads it"
        return Probe(ProbeStatus.BROKEN, reason)

    def discover(self) -> Sequence[RocmDevice]:
        """GPUs in PCI order."""
        gpus = enumerate(sysfs.find_gpus(self._root))
        return [self._describe(index, gpu) for index, gpu in gpus]

    def watch(self, callback: Callable[[str], None]) -> Callable[[], None] | None:
        """Report cards that come, go or are reset, where udev can be heard."""
        return udev.listen(("drm",), callback, "drm-events")

    def _describe(self, index: int, gpu: GpuFiles) -> RocmDevice:
        identity = _text_or(lambda: gpu.read("unique_id"), gpu.slot)
        memory = _read_or_none(lambda: float(gpu.read("mem_info_vram_total")))
        details = {
            "pci_id": ":".join(gpu.read(n)[2:] for n in ("vendor", "device", "revision")),
            "vbios": _text_or(lambda: gpu.read("vbios_version"), "unknown"),
        }
        reason = session.why_not(gpu.slot)
        opencl = opencl_session.find_device(gpu.slot) if reason else None
        if opencl is not None:
            details["through"] = f"OpenCL, {opencl.platform}"
        elif reason:
            cure = "CuPy for ROCm, or an OpenCL platform of AMD or Mesa, has to be installed"
            details |= {str(each): f"{reason}; {cure}" for each in session.CAPABILITIES}
        info = DeviceInfo(
            id=f"rocm:{index}",
            hardware_id=f"amd-{identity}",
            family="rocm",
            model=self._model(gpu),
            capabilities=_capabilities(reason, opencl),
            memory_bytes=None if memory is None else int(memory),
            driver_version=self._driver_version(),
            parent=gpu.slot,
            details=details,
        )
        controls = Controls(info.id, list_controls(gpu), self._originals[identity])
        return RocmDevice(info, gpu, controls, opencl)

    def _driver_version(self) -> str:
        """Version of an amdgpu built apart from the kernel, else the kernel's."""
        for name in ("sys/module/amdgpu/version", "proc/sys/kernel/osrelease"):
            if (self._root / name).is_file():
                return (self._root / name).read_text().strip()
        return ""

    def _model(self, gpu: GpuFiles) -> str:
        """The card's own name, else the product's by the machine's lists, else the chip's."""
        name = _text_or(lambda: gpu.read("product_name"), "")
        if name:
            return name
        chip, revision = (gpu.read(part)[2:].lower() for part in ("device", "revision"))
        return (
            _find_product(self._root, chip, revision)
            or _find_chip(self._root, chip)
            or f"AMD GPU {chip}"
        )


def _capabilities(reason: str, opencl: OpenClDevice | None) -> frozenset[Capability]:
    """``reason``: why ROCm does not compute; empty where it does."""
    if not reason:
        return session.CAPABILITIES
    return opencl_session.CAPABILITIES if opencl else frozenset()


def _find_product(root: Path, chip: str, revision: str) -> str | None:
    """From libdrm's list: lines of ``CHIP, REVISION, name``."""
    for line in _lines(root / PRODUCT_NAMES):
        parts = [part.strip() for part in line.split(",", 2)]
        if len(parts) == 3 and (parts[0].lower(), parts[1].lower()) == (chip, revision):
            return parts[2]
    return None


def _find_chip(root: Path, chip: str) -> str | None:
    """From the list of PCI ids: vendors at the line's start, products indented by a tab."""
    is_amd = False
    for line in (line for name in CHIP_NAMES for line in _lines(root / name)):
        if line[:1] not in ("\t", "#", ""):
            is_amd = line.startswith("1002")
        elif is_amd and line.startswith(f"\t{chip}"):
            return line.split(None, 1)[1]
    return None


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []


def _either(first: Callable[[], float], second: Callable[[], float]) -> Callable[[], float]:
    def read() -> float:
        try:
            return first()
        except NotSupported:
            return second()

    return read


def _read_or_none(reader: Callable[[], float]) -> float | None:
    try:
        return reader()
    except NotSupported:
        return None


def _text_or(reader: Callable[[], str], otherwise: str) -> str:
    try:
        return reader() or otherwise
    except (NotSupported, PermissionDenied):
        return otherwise
