"""Records of the market: frozen, money in micro-units of the farm's currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farmctl.market.pricing import charge_micro

QUOTE_VALID_SECONDS = 15 * 60.0


@dataclass(frozen=True)
class Offer:
    """Capacity for sale: one device, now."""

    device: str
    model: str
    price_micro_per_hour: int
    floor_micro_per_hour: int
    available: bool
    reason: str
    """Why it is not available, or what it would be taken from."""


@dataclass(frozen=True)
class Quote:
    """A price that holds until ``valid_until``, whatever the market does meanwhile."""

    id: str
    kind: str
    parameters: Mapping[str, str]
    interruptible: bool
    price_micro_per_hour: int
    floor_micro_per_hour: int
    estimated_device_seconds: float
    total_steps: int
    valid_until: float

    @property
    def estimated_total_micro(self) -> int:
        return charge_micro(self.estimated_device_seconds, self.price_micro_per_hour)


@dataclass(frozen=True)
class Invoice:
    """What a job cost in the end. There is at most one per job."""

    id: str
    job: str
    customer: str
    device_seconds: float
    price_micro_per_hour: int
    total_micro: int
    issued: float


@dataclass(frozen=True)
class Transfer:
    """Money that leaves one account for another: both sides of the double entry in one record,
    so that the ledger balances by its form. ``(key, leg)`` can be posted once."""

    key: str
    """What caused it, e.g. ``invoice:JOB``."""
    debit: str
    credit: str
    amount_micro: int
    """Positive."""
    text: str
    leg: int = 0
