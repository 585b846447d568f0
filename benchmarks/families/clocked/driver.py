"""The machine's processors as ``clocked:0``, whose searches note when they begin to hash.

Each note is the job's first eight bytes and the system's monotonic clock in nanoseconds, which
is one clock for all processes, appended to the file that CLOCKED_FILE names.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from drivers.base import Capability, CuckooJob, CuckooSolution, Found, Session
from drivers.cpu import driver as cpu
from drivers.cpu.cuckoo import CuckooSearch
from drivers.cpu.driver import CpuDevice
from farmctl.workloads.mine import NICENESS

NOTE = struct.Struct("<8sQ")


class ClockedSearch(CuckooSearch):
    def search(
        self,
        job: CuckooJob,
        first_nonce: int,
        graphs: int,
        should_stop: Callable[[], bool],
        found: Found | None = None,
    ) -> tuple[int, list[CuckooSolution]]:
        self._prepare(job)  # The solver's memory comes before the first hash.
        with open(os.environ["CLOCKED_FILE"], "ab") as file:
            file.write(NOTE.pack(job.header[:8], time.monotonic_ns()))
        return super().search(job, first_nonce, graphs, should_stop, found)


class ClockedDevice(CpuDevice):
    def open(self, capability: Capability, **options: Any) -> Session:
        if capability is not Capability.CUCKOO:
            return super().open(capability, **options)
        return ClockedSearch(1, cpu.default_memory_limit_bytes(), NICENESS)


class Driver(cpu.Driver):
    family = "clocked"

    def discover(self) -> Sequence[CpuDevice]:
        (device,) = super().discover()
        info = replace(device.info, id="clocked:0", family="clocked", hardware_id="clocked-0")
        return [ClockedDevice(info, device._sensors)]
