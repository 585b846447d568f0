"""What the planner sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from farmctl.domain import Device, DeviceKey, Job, Wish


@dataclass(frozen=True)
class Policy:
    """People's will, and how eager the planner may be."""

    wishes: tuple[Wish, ...] = ()
    paused: Mapping[DeviceKey, str] = field(default_factory=dict)
    """Paused devices, and who paused them."""
    quarantined: Mapping[DeviceKey, str] = field(default_factory=dict)
    """Devices that computed wrongly, and what they did."""
    switch_threshold_ratio: float = 0.1
    minimum_dwell_seconds: float = 300.0
    horizon_seconds: float = 3600.0


@dataclass(frozen=True)
class PlannedDevice:
    """A device and what was measured of it."""

    device: Device
    offline: bool
    """Its rig is silent; it goes on with its last plan."""
    workload_since: float
    graphs_per_second: float | None = None
    """Smoothed, while it mined; None before the first measurement."""
    power_watts: float | None = None
    """None where it cannot be read."""
    switch_seconds: float | None = None
    """Smoothed, as measured; None before the first switch."""


@dataclass(frozen=True)
class Inventory:
    devices: tuple[PlannedDevice, ...]


@dataclass(frozen=True)
class Market:
    """Prices now, and the work on offer. Money in micro-units."""

    coin_price_micro: int
    reward_coins_per_block: float
    graphs_per_block: float | None
    """Expected graphs to search for one block; None while the node is not known."""
    power_price_micro_per_kilowatt_hour: int
    jobs: tuple[Job, ...] = ()
    """Not at an end, oldest first."""
