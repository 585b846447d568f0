"""What all devices of a rig share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.base import DeviceInfo
from farmctl.agent.hardware import Hardware
from farmctl.agent.proofs import Proofs
from farmctl.agent.settings import Originals, Settings
from farmctl.domain import Workload
from farmctl.messages import DeviceAck, FaultEvent, JobProgress, ShareEvent

Tell = Callable[[DeviceAck | ShareEvent | JobProgress | FaultEvent], None]


@dataclass(frozen=True)
class RigParts:
    """``profile`` gives what a device's controls are set to for a workload. ``room_reason`` says
    why customers' jobs cannot be isolated here; empty where they can.
    """

    hardware: Hardware
    proofs: Proofs
    originals: Originals
    profile: Callable[[DeviceInfo, Workload], Settings]
    tell: Tell
    room_reason: str
