"""What a GPU that CuPy drives can do, for every family that has such: CUCKOO and INFER."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from drivers.base import Capability, Session
from drivers.errors import BadArgument, DriverError
from drivers.kernels.gpu.cupy_launcher import CupyLauncher
from drivers.kernels.gpu.cupy_queue import CupyQueue, describe
from drivers.kernels.gpu.cupy_stream import CupyDevice, find_device
from drivers.kernels.gpu.infer.opening import open_proved
from drivers.kernels.gpu.infer.session import GpuInfer
from drivers.kernels.gpu.search import GpuSearch, Options

#: Options that are those of a search; every other has to be a field of `shape.Shape`.
OWN_OPTIONS = ("graphs_at_once", "yield_seconds")
CAPABILITIES = frozenset({Capability.CUCKOO, Capability.INFER})


@functools.cache
def why_not(pci_address: str) -> str:
    """Why the GPU at a PCI address has none of `CAPABILITIES`; empty where it has all."""
    try:
        find_device(pci_address)
    except DriverError as error:
        return str(error)
    return ""


def open_launcher(pci_address: str) -> CupyLauncher:
    """A queue on the GPU. Raises `DriverMissing` and `NotSupported`."""
    return CupyLauncher(CupyDevice(find_device(pci_address)))


def open_session(pci_address: str, capability: Capability, **options: Any) -> Session:
    """One of `CAPABILITIES`; see `open_search` and `open_infer`."""
    opens = open_infer if capability == Capability.INFER else open_search
    return opens(pci_address, **options)


def open_infer(pci_address: str, **options: Any) -> GpuInfer:
    """A session on the GPU; see `open_proved`. Without a limit it has what is free now.

    Raises `DriverMissing`, `NotSupported`, `BadArgument` and `SelfTestFailed`.
    """
    device = CupyDevice(find_device(pci_address))
    return open_proved(lambda: CupyQueue(device), functools.partial(describe, device), options)


def open_search(pci_address: str, **options: Any) -> GpuSearch:
    """A session on the GPU. Options: ``memory_limit_bytes`` (else what is free now),
    ``graphs_at_once``, ``yield_seconds``, and fields of `shape.Shape`.

    Raises `DriverMissing`, `NotSupported` and `BadArgument`.
    """
    device = CupyDevice(find_device(pci_address))
    limit = options.pop("memory_limit_bytes", None)
    own = {name: options.pop(name) for name in OWN_OPTIONS if name in options}
    for name, value in options.items():
        if isinstance(value, str) or not isinstance(value, int | float):
            raise BadArgument(f"{name} must be a number, not {value!r}")
    gpu = device.describe(limit)
    return GpuSearch(lambda: CupyLauncher(device), gpu, Options(**own, shape=options))


def variants(edge_bits: int) -> Sequence[Mapping[str, Any]]:
    """See `drivers.base.Tunable`: what could not be settled without measuring."""
    found: list[Mapping[str, Any]] = [
        {},
        *({"graphs_at_once": count} for count in (1, 3)),
        *({"aggregate_hash": flag} for flag in (0, 1)),
        {"aggregate_trim": 1},
        *({"trim_threads": threads} for threads in (256, 512, 1024)),
    ]
    if edge_bits >= 24:
        found += [{"bucket_bits": bits} for bits in range(edge_bits - 18, edge_bits - 15)]
        found += [{"bucket_rounds": rounds} for rounds in (30, 90)]
    return found
