"""Prices: what a device-hour must bring in, and what a job owes."""

from __future__ import annotations

MILLISECONDS_PER_HOUR = 3_600_000


def charge_micro(device_seconds: float, price_micro_per_hour: int) -> int:
    """Money for metered time: whole milliseconds × price, rounded half up to a micro-unit.

    Raises ValueError for negative time or price.
    """
    if device_seconds < 0 or price_micro_per_hour < 0:
        raise ValueError("metered time and price cannot be negative")
    milliseconds = round(device_seconds * 1000)
    return (2 * milliseconds * price_micro_per_hour + MILLISECONDS_PER_HOUR) // (
        2 * MILLISECONDS_PER_HOUR
    )


def asking_price_micro(
    floor_micro_per_hour: int, minimum_micro_per_hour: int, margin_percent: int
) -> int:
    """Price of a device-hour: the floor (what mining would earn net) plus the margin, never
    under the owner's minimum. Rounded up, so that selling is never worse than mining."""
    with_margin = -(-max(floor_micro_per_hour, 0) * (100 + margin_percent) // 100)
    return max(with_margin, minimum_micro_per_hour)
