"""The machine's processors a second time, as ``twin:0``, which trains alone: so that a farm of
one machine mines and trains at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drivers.base import Capability
from drivers.cpu import driver as cpu
from drivers.cpu.driver import CpuDevice


class Driver(cpu.Driver):
    family = "twin"

    def discover(self) -> Sequence[CpuDevice]:
        return [_twin(device) for device in super().discover()]


def _twin(device: CpuDevice) -> CpuDevice:
    info = replace(
        device.info,
        id="twin:0",
        family="twin",
        hardware_id=f"twin-{device.info.hardware_id}",
        capabilities=device.info.capabilities & {Capability.TRAIN},
    )
    return CpuDevice(info)
