"""Family ``cpu``: the machine's processors as one device, ``cpu:0``."""

from __future__ import annotations

import hashlib
import platform
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

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
from drivers.cpu import library, train
from drivers.cpu.controls import list_controls
from drivers.cpu.cuckoo import CuckooSearch
from drivers.cpu.infer import InferRuns
from drivers.cpu.numa import read_nodes
from drivers.cpu.sensors import Sensors, read_temperature
from drivers.cpu.train import TrainProof
from drivers.cpu.variants import default_threads, list_variants
from drivers.errors import BadArgument, DriverMissing, NotSupported

HOT_CELSIUS = 95.0
#: Enough for the largest graphs (30 edge bits) to be listed whole.
DEFAULT_MEMORY_LIMIT_BYTES = 12 << 30


class CpuDevice(Controlled):
    """All processors of the machine. Sessions of several capabilities may be open at once."""

    def __init__(
        self, info: DeviceInfo, sensors: Sensors, originals: dict[str, Setting], root: Path
    ) -> None:
        self.info = info
        self.controls = Controls(info.id, list_controls(root), originals)
        self._sensors = sensors

    def snapshot(self) -> Telemetry:
        otherwise = "a processor has no such sensor"
        return read_telemetry(self.info.id, self._sensors.readers(), otherwise)

    def health(self) -> Health:
        try:
            celsius = read_temperature()
        except NotSupported:
            return Health(HealthStatus.OK, reason="no temperature sensor; nothing else is wrong")
        if celsius >= HOT_CELSIUS:
            return Health(HealthStatus.DEGRADED, ("temperature_high",), f"{celsius:.0f} °C")
        return Health(HealthStatus.OK)

    def open(self, capability: Capability, **options: Any) -> Session:
        """Options: ``memory_limit_bytes`` for CUCKOO (the solvers) and INFER (one model);
        ``threads`` (CUCKOO: all but one, which is left to the rest of the rig; INFER: all);
        for INFER ``blob_folder`` and ``blob_budget_bytes`` (`drivers.cpu.infer.InferRuns`);
        for CUCKOO ``graphs_at_once`` (by default as the solver shares threads out), ``isa`` (the
        processor's best) and ``niceness`` (0), by which its threads let others go first."""
        if capability not in self.info.capabilities:
            raise NotSupported(f"{self.info.id} has no capability {capability}")
        try:
            return _open(capability, **options)
        except TypeError as error:
            raise BadArgument(f"{capability} options: {error}") from None

    def variants(self, capability: Capability, edge_bits: int) -> Sequence[Mapping[str, Any]]:
        """See `drivers.base.Tunable`."""
        if capability != Capability.CUCKOO:
            return ({},)
        memory = default_memory_limit_bytes()
        return list_variants(psutil.cpu_count() or 1, library.isa(), edge_bits, memory)


class Driver:
    family = "cpu"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root`` holds the ``sys`` tree."""
        self._root = root
        self._sensors = Sensors(root)
        self._originals: dict[str, Setting] = {}

    def probe(self) -> Probe:
        try:
            library.load()
        except DriverMissing as error:
            return Probe(ProbeStatus.BROKEN, str(error))
        return Probe(ProbeStatus.PASS)

    def discover(self) -> Sequence[CpuDevice]:
        """Raises `DriverMissing` when the native library is not built."""
        library.load()
        return [CpuDevice(_describe(self._root), self._sensors, self._originals, self._root)]

    def watch(self, callback: Callable[[str], None]) -> None:
        """Processors do not come and go."""


def _open(capability: Capability, **options: Any) -> Session:
    if capability == Capability.TRAIN:
        return TrainProof(**options)
    options.setdefault("memory_limit_bytes", default_memory_limit_bytes())
    if capability == Capability.INFER:
        return InferRuns(**options)
    options.setdefault("threads", default_threads(psutil.cpu_count() or 1))
    if isa := options.pop("isa", None):
        library.use_isa(isa)
    return CuckooSearch(**options)


def default_memory_limit_bytes() -> int:
    """What solvers or a model may take unless told: half of what is free now, at most 12 GiB."""
    return min(DEFAULT_MEMORY_LIMIT_BYTES, int(psutil.virtual_memory().available) // 2)


def _describe(root: Path) -> DeviceInfo:
    details = {
        "numa_nodes": str(len(read_nodes(root)) or 1),
        "isa": library.isa(),
        "cores": str(psutil.cpu_count(logical=False) or psutil.cpu_count() or 1),
        "threads": str(psutil.cpu_count() or 1),
        "architecture": platform.machine(),
    }
    capabilities = {Capability.CUCKOO, Capability.INFER}
    if train.is_installed():
        capabilities.add(Capability.TRAIN)
    else:
        details["train"] = "PyTorch is not installed; `pip install 'farmctl[train]'` adds it"
    return DeviceInfo(
        id="cpu:0",
        hardware_id=_hardware_id(),
        family="cpu",
        model=_model(),
        capabilities=frozenset(capabilities),
        memory_bytes=psutil.virtual_memory().total,
        driver_version=f"farmcpu-{library.ABI}",
        details=details,
    )


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _hardware_id() -> str:
    """A hash of the machine's id: stable, and telling nothing about the machine."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()
    except OSError:
        machine = ""
    machine = machine or f"mac-{uuid.getnode():012x}"
    return "cpu-" + hashlib.blake2b(f"farmctl {machine}".encode(), digest_size=8).hexdigest()
