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
class Entry:
    """One line of a ledger transaction. Debits are positive, credits negative."""

    account: str
    amount_micro: int


@dataclass(frozen=True)
class Posting:
    """A ledger transaction: its entries sum to nothing, and its key can be posted once."""

    key: str
    text: str
    entries: tuple[Entry, ...]
