"""The best way found to search a kind of graph on a device, kept on the rig."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from drivers.base import CuckooJob, DeviceInfo
from farmctl.errors import StoreError
from farmctl.files import write_atomic

log = logging.getLogger(__name__)

FILE_NAME = "tuning.json"
Options = Mapping[str, int | str | bool]


class Tuned(BaseModel):
    """What the tuner found best for one device, driver and kind of graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hardware_id: str
    driver_version: str
    algorithm: str
    edge_bits: int
    options: dict[str, int | str | bool]
    """Of `drivers.base.Device.open`."""
    graphs_per_second: float
    power_watts: float | None = None
    joules_per_graph: float | None = None
    efficient_power_limit_watts: float | None = None
    """With which a graph took the least energy, where the limit was swept."""
    efficient_joules_per_graph: float | None = None
    measured_at: float
    """Seconds since the epoch."""

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.hardware_id, self.driver_version, self.algorithm, self.edge_bits


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    tuned: list[Tuned] = []


def algorithm_of(job: CuckooJob) -> str:
    """``cuckaroo 4-8``."""
    return f"{job.cycle} {job.rounds[0]}-{job.rounds[1]}"


class TuningFile:
    """Read anew each time: the tuner and runners are processes of their own."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is the rig's."""
        self.path = folder / FILE_NAME

    def find(self, info: DeviceInfo, job: CuckooJob) -> Tuned | None:
        """What is known of a device as it is now. A damaged file counts as none; it is told."""
        try:
            kept = self._read()
        except StoreError as error:
            log.error("%s", error)
            return None
        wanted = (info.hardware_id, info.driver_version, algorithm_of(job), job.edge_bits)
        return next((one for one in kept.tuned if one.key == wanted), None)

    def find_power_limit(self, info: DeviceInfo) -> float | None:
        """The limit in watts with which a graph took the least energy, by the newest sweep of a
        device as it is now; None where there was none."""
        try:
            kept = self._read().tuned
        except StoreError as error:
            log.error("%s", error)
            return None
        own = (info.hardware_id, info.driver_version)
        swept = [one for one in kept if one.key[:2] == own and one.efficient_power_limit_watts]
        newest = max(swept, key=lambda one: one.measured_at, default=None)
        return newest.efficient_power_limit_watts if newest else None

    def put(self, tuned: Tuned) -> None:
        """Keep it in place of what was known. Raises `StoreError`, also for a damaged file."""
        kept = self._read()
        others = [one for one in kept.tuned if one.key != tuned.key]
        renewed = _File(tuned=[*others, tuned])
        write_atomic(self.path, renewed.model_dump_json(indent=1).encode())

    def _read(self) -> _File:
        try:
            return _File.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return _File()
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}") from error
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise StoreError(
                f"{self.path} is damaged ({what}); delete it and tune again"
            ) from error
