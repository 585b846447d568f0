"""The CUCKOO capability of a GPU that CuPy drives: for every family that has such."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from drivers.errors import BadArgument, DriverError
from drivers.kernels.gpu.cupy_launcher import CupyDevice, CupyLauncher, find_device
from drivers.kernels.gpu.search import GpuSearch, Options

#: Options that are those of a search; every other has to be a field of `shape.Shape`.
OWN_OPTIONS = ("graphs_at_once", "yield_seconds")


@functools.cache
def why_not(pci_address: str) -> str:
    """Why the GPU at a PCI address cannot search for cycles; empty where it can."""
    try:
        find_device(pci_address)
    except DriverError as error:
        return str(error)
    return ""


def open_launcher(pci_address: str) -> CupyLauncher:
    """A queue on the GPU. Raises `DriverMissing` and `NotSupported`."""
    return CupyLauncher(CupyDevice(find_device(pci_address)))


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
