"""The machine's processors as ``faulty:0``, which fails in the way that FAULTY_WAY names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from drivers.base import Capability, CuckooJob, CuckooSolution, Found, Session, tell
from drivers.cpu import driver as cpu
from drivers.cpu.cuckoo import CuckooSearch
from drivers.cpu.driver import CpuDevice
from drivers.errors import DeviceLost


class FaultySearch(CuckooSearch):
    def search(
        self,
        job: CuckooJob,
        first_nonce: int,
        graphs: int,
        should_stop: Callable[[], bool],
        found: Found | None = None,
    ) -> tuple[int, list[CuckooSolution]]:
        way = os.environ["FAULTY_WAY"]
        if way == "lost":
            raise DeviceLost("it fell off the bus in the middle of a graph")
        if way == "hangs":
            time.sleep(3600)
        done, right = super().search(job, first_nonce, graphs, should_stop)
        wrong = [replace(one, edges=spoil(way, one.edges)) for one in right]
        tell(wrong, found)
        return done, wrong


def spoil(way: str, edges: tuple[int, ...]) -> tuple[int, ...]:
    if way == "wrong":
        return (*edges[:-1], edges[-1] ^ 1)
    return (*edges[:-1], 2**40) if way == "too big" else edges[1:]


class FaultyDevice(CpuDevice):
    def open(self, capability: Capability, **options: Any) -> Session:
        return FaultySearch(1, 1 << 30)


class Driver(cpu.Driver):
    family = "faulty"

    def discover(self) -> Sequence[CpuDevice]:
        (device,) = super().discover()
        info = replace(device.info, id="faulty:0", family="faulty", hardware_id="faulty-0")
        return [FaultyDevice(info, self._sensors, self._originals, self._root)]
