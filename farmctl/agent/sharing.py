"""How the INFER reserve of a GPU and what mines beside it share its memory and its time."""

from __future__ import annotations

import logging

from drivers import registry
from drivers.base import DeviceInfo
from drivers.errors import DriverError
from farmctl.workloads.base import Place

log = logging.getLogger(__name__)
#: Families whose sessions keep models and graphs in a memory of the device's own.
GPU_FAMILIES = frozenset({"cuda", "rocm", "opencl"})
#: Of a session that keeps models on disk as its device takes them, and can recall them.
PACKED_OPTION = "blob_folder"
#: A device keeps a byte a parameter, where `Place.infer_bytes` counts four.
PARAMETER_BYTES = 4
#: For what is computed between a model's layers.
ACTIVATION_BYTES = 256 << 20
#: Of the GPU's memory, at most.
RESERVE_SHARE = 8
#: The rest after each graph, which lets waiting requests in where a GPU does not switch by itself.
YIELD_SECONDS = 0.005

Options = dict[str, int | float | str]


def mining_options(place: Place) -> Options:
    """Of a search beside a reserve: the memory less the reserve's, and rests."""
    info = _find(place)
    if info is None or not info.memory_bytes:
        return {}
    options: Options = {"memory_limit_bytes": info.memory_bytes - reserve_bytes(place, info)}
    if info.family != "opencl" and "through" not in info.details:
        options["yield_seconds"] = YIELD_SECONDS
    return options


def infer_options(place: Place) -> Options:
    """Of a session for models, alone or as a reserve."""
    if place.family == "cpu":
        return {PACKED_OPTION: str(place.folder / "packed")}
    info = _find(place)
    if info is None or not info.memory_bytes:
        return {}
    return {"memory_limit_bytes": reserve_bytes(place, info)}


def reserve_bytes(place: Place, info: DeviceInfo) -> int:
    """What models may take on a GPU, so that graphs still have most of it."""
    wanted = place.infer_bytes // PARAMETER_BYTES + ACTIVATION_BYTES
    return min(wanted, (info.memory_bytes or 0) // RESERVE_SHARE)


def _find(place: Place) -> DeviceInfo | None:
    """What a GPU is; None of other devices."""
    if place.family not in GPU_FAMILIES:
        return None
    try:
        return registry.find_device(place.family, place.device_id).info
    except DriverError as error:
        log.warning("%s is opened as its driver chooses: %s", place.device_id, error)
        return None
