"""The machine's processors a second time, as ``twin:0``, which trains alone: so that a farm of
one machine mines and trains at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drivers.base import Capability, DeviceInfo
from drivers.cpu import driver as cpu
from drivers.cpu.driver import CpuDevice


class Driver(cpu.Driver):
    family = "twin"

    def discover(self) -> Sequence[CpuDevice]:
        devices = super().discover()
        for device in devices:
            device.info = _twin(device.info)
        return devices


def _twin(info: DeviceInfo) -> DeviceInfo:
    return replace(
        info,
        id="twin:0",
        family="twin",
        hardware_id=f"twin-{info.hardware_id}",
        capabilities=info.capabilities & {Capability.TRAIN},
    )
