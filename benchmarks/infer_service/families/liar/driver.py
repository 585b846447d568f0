"""The machine's processors a second time, as ``liar:0``, which is wrong in the last byte of every
inference: so that a farm of one machine has a device to catch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from drivers.base import Capability, Session
from drivers.cpu import driver as cpu
from drivers.cpu.driver import CpuDevice
from drivers.cpu.infer import InferRuns


class Driver(cpu.Driver):
    family = "liar"

    def discover(self) -> Sequence[CpuDevice]:
        return [_Liar(device) for device in super().discover()]


class _Liar(CpuDevice):
    def __init__(self, honest: CpuDevice) -> None:
        self.__dict__.update(honest.__dict__)
        self.info = replace(honest.info, id="liar:0", family="liar")

    def open(self, capability: Capability, **options: Any) -> Session:
        return _LyingRuns(memory_limit_bytes=1 << 30)


class _LyingRuns(InferRuns):
    def run(self, model_id: str, data: bytes) -> bytes:
        right = super().run(model_id, data)
        return right[:-1] + bytes([right[-1] ^ 1])
