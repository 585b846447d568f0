"""Families are the sub-folders of ``drivers`` that hold a ``driver.py`` with a ``Driver``.

Further folders of families are found through ``FARMCTL_DRIVERS``, a list of directories
separated like ``PATH``: each sub-folder of theirs is a family as well.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import drivers
from drivers.base import Device, Driver, Probe, ProbeStatus
from drivers.errors import BadArgument, DriverError, DriverMissing

SEARCH_VARIABLE = "FARMCTL_DRIVERS"


@dataclass(frozen=True)
class Family:
    """What a probe and a discovery found of one family."""

    name: str
    probe: Probe
    devices: Sequence[Device] = ()
    seconds: float = 0.0
    """That looking took."""


def families() -> list[str]:
    """Names of all families, sorted."""
    _extend_search()
    found = pkgutil.iter_modules(drivers.__path__)
    return sorted(m.name for m in found if m.ispkg and _has_driver(m.name))


_drivers: dict[str, Driver] = {}
#: One a family: one whose code hangs as it is loaded keeps nobody from the others.
_loading: dict[str, threading.Lock] = {}


def driver(family: str) -> Driver:
    """The family's driver, one for the whole process: it remembers events of its devices and
    what their controls were at first.

    Raises `BadArgument` for an unknown family and `DriverMissing` when its code cannot be
    loaded here.
    """
    if family not in families():
        raise BadArgument(f"no device family {family!r}; there are {', '.join(families())}")
    with _loading.setdefault(family, threading.Lock()):
        if family not in _drivers:
            _drivers[family] = _load(family)
        return _drivers[family]


def _load(family: str) -> Driver:
    try:
        made: Driver = importlib.import_module(f"drivers.{family}.driver").Driver()
    except (ImportError, OSError, AttributeError, SyntaxError) as error:
        raise DriverMissing(f"family {family} cannot be loaded: {error}") from error
    return made


def survey_family(name: str) -> Family:
    """Probe a family and discover its devices. Never raises: what fails is BROKEN, with the
    reason."""
    began = time.monotonic()
    return replace(_look(name), seconds=time.monotonic() - began)


def find_device(family: str, device_id: str) -> Device:
    """Raises `BadArgument` if the family has no such device now."""
    devices = driver(family).discover()
    for device in devices:
        if device.info.id == device_id:
            return device
    known = ", ".join(d.info.id for d in devices) or "none"
    raise BadArgument(f"no device {device_id!r}; family {family} has {known}")


def _look(name: str) -> Family:
    try:
        found = driver(name)
        probe = found.probe()
        if probe.status is not ProbeStatus.PASS:
            return Family(name, probe)
        return Family(name, probe, tuple(found.discover()))
    except DriverError as error:
        return Family(name, Probe(ProbeStatus.BROKEN, str(error)))
    except Exception as error:  # noqa: BLE001 - a family's fault must not hide the others
        return Family(name, Probe(ProbeStatus.BROKEN, f"{type(error).__name__}: {error}"))


def _extend_search() -> None:
    for folder in filter(None, os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep)):
        if folder not in drivers.__path__:
            drivers.__path__.append(folder)


def _has_driver(name: str) -> bool:
    return any((Path(folder) / name / "driver.py").is_file() for folder in drivers.__path__)
