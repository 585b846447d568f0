"""What a device that OpenCL drives can do, for every family that has such: CUCKOO and INFER."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from drivers.base import Capability, Session
from drivers.errors import BadArgument, DriverMissing
from drivers.kernels.opencl.devices import OpenClDevice, list_devices

CAPABILITIES = frozenset({Capability.CUCKOO, Capability.INFER})


def find_device(pci_address: str) -> OpenClDevice | None:
    """The OpenCL device at a PCI address, if any platform has it."""
    try:
        found = list_devices()
    except DriverMissing:
        return None
    return next((device for device in found if device.pci_address == pci_address), None)


def open_session(device: OpenClDevice, capability: Capability, **options: Any) -> Session:
    """One of `CAPABILITIES`; see `open_search` and `open_infer`."""
    opens = open_infer if capability == Capability.INFER else open_search
    return opens(device, **options)


def open_infer(device: OpenClDevice, **options: Any) -> Session:
    """A session on the device. Options: those of `inference.open_infer`.

    Raises `BadArgument`, `NotSupported`, `DeviceLost` and `SelfTestFailed`.
    """
    inference = importlib.import_module("drivers.kernels.opencl.inference")  # It needs pyopencl.
    session: Session = inference.open_infer(device, **options)
    return session


def open_search(device: OpenClDevice, **options: Any) -> Session:
    """A session on the device. Options: those of `search.OpenClSearch`.

    Raises `BadArgument` and `DeviceLost`.
    """
    search = importlib.import_module("drivers.kernels.opencl.search")  # It needs pyopencl.
    try:
        session: Session = search.OpenClSearch(device, **options)
    except TypeError as error:
        raise BadArgument(f"options of the search: {error}") from None
    return session


def variants(device: OpenClDevice) -> Sequence[Mapping[str, Any]]:
    """See `drivers.base.Tunable`."""
    is_kept = device.kind == "cpu"
    return [{}, {"keep_words": int(not is_kept)}, {"bucket_bits": 10}, {"bucket_bits": 13}]
