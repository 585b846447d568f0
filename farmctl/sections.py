"""The sections of the farm's configuration; each field's docstring is its line in the manual."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field

from node.models.eviction import Policy

#: Of a device's models, four bytes a parameter: the eight of the whitepaper, twice.
INFER_BYTES = 4 * 1024**3


NODE_MODES = ("full", "light")
PEER_ADMISSIONS = ("known", "anyone")
#: The node's own accounts look back so far at most.
MINIMUM_STATES = 128


def _check_policy(name: str, policy: str, size_bytes: int) -> None:
    if policy not in tuple(Policy):
        raise ValueError(f"{name}_policy is one of {', '.join(Policy)}")
    if size_bytes < 0:
        raise ValueError(f"{name}_bytes is at least 0")


def _this_rig() -> str:
    name = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")
    return name[:63] or "rig"


@dataclass(frozen=True)
class FarmSection:
    """The farm and this machine."""

    name: str = "farm"
    """Shown on the dashboard."""
    rig: str = field(default_factory=_this_rig)
    """Name of this machine as a rig: lower-case letters, digits and dashes."""
    site: str = "home"
    """Where this machine stands; rigs of one site share a network."""
    currency: str = "EUR"
    """Of every price here."""


@dataclass(frozen=True)
class RigSection:
    """What the agent may do to this machine."""

    settings: str = "profile"
    """Power limits, clocks and fans: `profile` sets those of hw-configs and of the tuner for each
    workload, and puts them back at the end; `leave` touches none."""
    reboot_command: str = ""
    """Run, once the rig is drained, when a device needs a reboot, e.g. `systemctl reboot`; empty:
    the rig is never rebooted."""
    reboots_per_day: int = 2
    """At most."""
    infer_bytes: int = INFER_BYTES
    """Most that models may take on each device that answers INFER, at four bytes a parameter."""
    infer_policy: str = "gdsf"
    """Which model makes way there: `lru`, `fifo`, `lfu`, `gdsf` or `s3-fifo`."""

    def check(self) -> None:
        """Raises `ValueError`."""
        _check_policy("infer", self.infer_policy, self.infer_bytes)


@dataclass(frozen=True)
class BusSection:
    """The message bus between controller and rigs."""

    url: str = ""
    """A NATS server of yours, ``nats://host:port``; empty: `farmctl up` starts one."""
    host: str = "127.0.0.1"
    """Address the server listens on. Beyond loopback, where rigs on other machines join, it
    speaks mutual TLS alone."""
    port: int = 4222
    """Of the server."""


@dataclass(frozen=True)
class NodeSection:
    """The embedded node."""

    chain: str = "farmnet"
    """A name from `node/chains`."""
    mode: str = "full"
    """`full`, or `light`: it checks headers and proofs alone (see [light]) and makes no blocks."""
    host: str = "127.0.0.1"
    """Address the JSON-RPC listens on."""
    port: int = 8545
    """Of the JSON-RPC."""
    cross_check_ratio: float = 1.0
    """Share of INFER results computed again by the CVM reference."""
    class_check_ratio: float = 0.1
    """Share of those that the reference does not check which a device of another family or
    product computes as well; where they differ, the reference decides."""
    infer_timeout_seconds: float = 10.0
    """After this a worker is taken not to answer."""
    prerun: bool = True
    """Compute the inferences of waiting transactions ahead of their block."""
    keep_states: int = 8192
    """Blocks below the head whose state is kept, and so how far a change of branch may reach;
    0 keeps all of them (an archive)."""
    interpreter: str = "fast"
    """What runs contracts: `fast`, or the slow `readable` one that it is checked by."""
    cache_bytes: int = 4 * 1024**3
    """Most that loaded models may take in memory."""
    cache_policy: str = "gdsf"
    """Which model makes way: `lru`, `fifo`, `lfu`, `gdsf` or `s3-fifo`."""
    peer_listen: str = ""
    """``host:port`` at which other farms' nodes may connect, over TLS; empty: none may."""
    peer_admission: str = "known"
    """Who may connect there: `known`, the fingerprints in ``[[peers]]`` alone, or `anyone`."""

    def check(self) -> None:
        """Raises `ValueError`."""
        _check_policy("cache", self.cache_policy, self.cache_bytes)
        if self.mode not in NODE_MODES:
            raise ValueError(f"mode is one of {', '.join(NODE_MODES)}")
        if self.peer_admission not in PEER_ADMISSIONS:
            raise ValueError(f"peer_admission is one of {', '.join(PEER_ADMISSIONS)}")
        for ratio in ("cross_check_ratio", "class_check_ratio"):
            if not 0 <= getattr(self, ratio) <= 1:
                raise ValueError(f"{ratio} must be between 0 and 1")
        if 0 != self.keep_states < MINIMUM_STATES:
            raise ValueError(f"keep_states must be 0 (all) or at least {MINIMUM_STATES}")


@dataclass(frozen=True)
class ApiSection:
    """The HTTP API and the dashboard."""

    host: str = "127.0.0.1"
    """Address the dashboard and the API listen on."""
    port: int = 8420
    """Of both."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names, beside the loopback ones, under which the API may be reached."""


@dataclass(frozen=True)
class EconomySection:
    """Prices behind the planner's estimates."""

    coin_price_micro: int = 20
    """What one whole coin of the mined chain is worth to you. A farm's own chain has no market:
    this default only keeps mining below sold work."""
    power_price_micro_per_kilowatt_hour: int = 250_000
    """What electricity costs."""
    train_price_micro_per_hour: int = 600_000
    """What training is taken to earn before anything was sold."""


@dataclass(frozen=True)
class MarketSection:
    """How capacity is priced; the floor is always what mining would earn."""

    margin_percent: int = 20
    """On top of the floor."""
    minimum_micro_per_hour: int = 300_000
    """A device-hour is never sold for less."""
    contract_surcharge_percent: int = 50
    """For a job that may not be interrupted."""
    assumed_steps_per_second: float = 50.0
    """To estimate a job's time before the first one was measured."""


@dataclass(frozen=True)
class PlannerSection:
    """How eager the planner is to move a device for profit."""

    switch_threshold_ratio: float = 0.1
    """A change for profit must promise at least this much more."""
    minimum_dwell_seconds: float = 300.0
    """A device stays this long before it is moved for profit alone."""
    horizon_seconds: float = 3600.0
    """Within which a change must earn back what the switch costs."""


@dataclass(frozen=True)
class StoreSection:
    """What the controller keeps, and how long."""

    url: str = ""
    """An SQLAlchemy URL; empty: SQLite in the farm's home."""
    raw_reading_hours: float = 6.0
    """Readings of each second are kept this long,"""
    minute_reading_days: float = 14.0
    """their means over a minute this long,"""
    hour_reading_days: float = 730.0
    """and over an hour this long."""
    job_days: float = 400.0
    """A job that has ended is forgotten so long after its order; its invoice stays."""
    artifact_bytes: int = 20 * 1024**3
    """Most that kept checkpoints and results may take."""
