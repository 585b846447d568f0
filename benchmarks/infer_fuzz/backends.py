"""What is fuzzed: devices of this machine that infer, the processor by number of threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from benchmarks.infer_fuzz import host_gpu
from drivers import registry
from drivers.base import Capability, InferSession, ProbeStatus
from drivers.cpu import layers
from drivers.errors import NotSupported

#: Instruction sets that a processor may have; a child process is held to one.
ISAS = ("baseline", "avx2", "avx512", "avx512vnni")
THREADS = (1, 2, 3)


@dataclass(frozen=True)
class Backend:
    """A device, and how its session is opened."""

    device: str
    threads: int | None = None

    @property
    def name(self) -> str:
        return self.device if self.threads is None else f"{self.device} {self.threads} threads"

    def open(self) -> InferSession:
        family = self.device.partition(":")[0]
        if family == host_gpu.FAMILY:
            return host_gpu.open_target(self.device)
        options = {} if self.threads is None else {"threads": self.threads}
        device = registry.find_device(family, self.device)
        return cast(InferSession, device.open(Capability.INFER, **options))


def find_devices() -> list[str]:
    """Ids of the devices here that infer, and the targets of the GPUs' kernels on the host."""
    surveys = (registry.survey_family(name) for name in registry.families())
    found = [
        device.info.id
        for family in surveys
        if family.probe.status == ProbeStatus.PASS
        for device in family.devices
        if Capability.INFER in device.info.capabilities
    ]
    return found + host_gpu.find_targets()


def find_isas() -> tuple[str, ...]:
    """Those of `ISAS` that this processor has. Nothing may be running."""
    before, found = layers.isa(), []
    for name in ISAS:
        with contextlib.suppress(NotSupported):
            layers.use_isa(name)
            found.append(name)
    layers.use_isa(before)
    return tuple(found)


def expand(devices: list[str]) -> Iterator[Backend]:
    """The processor once for each number of threads."""
    for device in devices:
        if device.startswith("cpu:"):
            yield from (Backend(device, threads) for threads in THREADS)
        else:
            yield Backend(device)
