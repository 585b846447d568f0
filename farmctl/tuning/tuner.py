"""Measures the variants of devices and keeps the best of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from drivers.base import Capability, CuckooJob, Device, Tunable
from farmctl.errors import Refused
from farmctl.tuning import chart, measuring, sweep
from farmctl.tuning.measuring import Effort, Failed, Measured
from farmctl.tuning.records import Tuned, TuningFile, algorithm_of
from farmctl.tuning.sweep import Step

CLEARLY_FASTER = 1.02
"""Times as fast; less is within the noise of most machines."""


@dataclass(frozen=True)
class Outcome:
    """What was measured on one device, and what of it is kept."""

    device: Device
    variants: Sequence[Measured | Failed]
    best: Measured
    steps: Sequence[Step]
    kept: Tuned


class Tuner:
    """Measures device after device, and keeps the best of each."""

    def __init__(
        self, job: CuckooJob, effort: Effort, file: TuningFile, tell: Callable[[str], None]
    ) -> None:
        """``tell`` hears what is being measured."""
        self._job = job
        self._effort = effort
        self._file = file
        self._tell = tell

    def tune(self, device: Device, with_sweep: bool) -> Outcome:
        """Raises `Refused` where no variant works or a sweep has nothing to set, `StoreError`
        where the best cannot be kept, and `DriverError` where the device fails in a sweep."""
        if with_sweep:
            sweep.find_limits(device)
        found = list(self._measure_variants(device))
        working = [one for one in found if isinstance(one, Measured)]
        if not working:
            reasons = "; ".join(sorted({one.reason for one in found if isinstance(one, Failed)}))
            raise Refused(f"{device.info.id} cannot search such graphs: {reasons}")
        best = find_best(working)
        steps = self._sweep(device, best) if with_sweep else []
        kept = self._record(device, best, sweep.best(steps))
        self._file.put(kept)
        return Outcome(device, found, best, steps, kept)

    def _measure_variants(self, device: Device) -> Sequence[Measured | Failed]:
        variants = variants_of(device, self._job)
        found = []
        for number, options in enumerate(variants, 1):
            what = f"variant {number} of {len(variants)}: {chart.name_of(options)}"
            self._tell(f"{device.info.id}  {what}")
            found.append(measuring.measure(device, options, self._job, self._effort))
        return found

    def _sweep(self, device: Device, best: Measured) -> list[Step]:
        with measuring.open_way(device, best.options) as session:
            return sweep.sweep(
                device,
                session,
                self._job,
                self._effort,
                lambda watts: self._tell(f"{device.info.id}  power limit {watts:.0f} W"),
            )

    def _record(self, device: Device, best: Measured, step: Step | None) -> Tuned:
        info, before = device.info, self._file.find(device.info, self._job)
        watts = before.efficient_power_limit_watts if before else None
        joules = before.efficient_joules_per_graph if before else None
        if step is not None:
            watts, joules = step.limit_watts, step.joules_per_graph
        return Tuned(
            hardware_id=info.hardware_id,
            driver_version=info.driver_version,
            algorithm=algorithm_of(self._job),
            edge_bits=self._job.edge_bits,
            options=dict(best.options),
            graphs_per_second=best.graphs_per_second,
            power_watts=best.energy.watts,
            joules_per_graph=best.joules_per_graph,
            efficient_power_limit_watts=watts,
            efficient_joules_per_graph=joules,
            measured_at=time.time(),
        )


def find_best(working: Sequence[Measured]) -> Measured:
    """The fastest; the driver's own choice stands where nothing is clearly faster."""
    fastest = max(working, key=lambda one: one.graphs_per_second)
    wanted = fastest.graphs_per_second / CLEARLY_FASTER
    return next(
        (one for one in working if not one.options and one.graphs_per_second >= wanted), fastest
    )


def variants_of(device: Device, job: CuckooJob) -> Sequence[dict[str, Any]]:
    """What the driver offers; its own choice where it offers nothing."""
    if not isinstance(device, Tunable):
        return [{}]
    return [dict(one) for one in device.variants(Capability.CUCKOO, job.edge_bits)]
