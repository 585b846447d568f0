"""The contract of a workload, and how one is found.

A workload is a file in ``farmctl/workloads`` with ``create(place, assignment) -> Activity``,
named as its `farmctl.domain.Workload`. It runs inside a runner, one process a device.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from farmctl.agent.link import BusLink
from farmctl.domain import Workload, device_key
from farmctl.errors import Refused
from farmctl.messages import AssignmentMessage, FaultEvent, JobProgress, ShareEvent
from farmctl.sections import INFER_BYTES
from node.models.eviction import Policy


@dataclass(frozen=True)
class Place:
    """Where a workload runs, and whom it tells."""

    rig: str
    device_id: str
    """``family:index``."""
    run_id: str
    """Unique to this run of the runner."""
    folder: Path
    """The rig's own folder."""
    link: BusLink
    emit: Callable[[ShareEvent | JobProgress | FaultEvent], None]
    infer_bytes: int = INFER_BYTES
    """Most that models of INFER may take on the device."""
    infer_policy: Policy = Policy.GDSF
    """Which of them makes way."""

    @property
    def device(self) -> str:
        return device_key(self.rig, self.device_id)

    @property
    def family(self) -> str:
        return self.device_id.split(":", 1)[0]


class Activity(Protocol):
    """Work on a device. `start` returns when it is under way; `run` then lasts until the work
    ends by itself (returns) or breaks (raises `drivers.errors.DriverError` when the device is
    at fault, `farmctl.errors.FarmError` otherwise); `stop` drains it and frees the device."""

    async def start(self) -> None: ...

    async def run(self) -> None: ...

    async def stop(self) -> None: ...

    def rates(self) -> Mapping[str, float]:
        """Present rates by the names of `farmctl.messages.Reading`."""
        ...


@runtime_checkable
class Pausable(Activity, Protocol):
    """An activity that can be held without ending its processes. `pause` returns when the
    device rests and its memory is free; both raise `drivers.errors.DriverError`."""

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...


def create_activity(place: Place, workload: Workload, assignment: AssignmentMessage) -> Activity:
    """Raises `Refused` for a workload that this build does not have."""
    name = f"farmctl.workloads.{workload.value}"
    if importlib.util.find_spec(name) is None:
        raise Refused(f"This build has no workload {workload.value!r}; choose another one.")
    activity: Activity = importlib.import_module(name).create(place, assignment)
    return activity
