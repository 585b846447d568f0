"""Prices and charges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.market.pricing import asking_price_micro, charge_micro


@pytest.mark.parametrize(
    ("seconds", "price", "total"),
    [(3600, 1_000_000, 1_000_000), (0, 5, 0), (1.8, 1000, 1), (1.799, 1000, 0), (0.0004, 10**9, 0)],
)
def test_charge_rounds_half_up(seconds: float, price: int, total: int) -> None:
    assert charge_micro(seconds, price) == total


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**12))
def test_splitting_time_changes_a_charge_by_one_unit_at_most(a: int, b: int, price: int) -> None:
    parts = charge_micro(a / 1000, price) + charge_micro(b / 1000, price)
    assert abs(charge_micro((a + b) / 1000, price) - parts) <= 1


def test_negative_time_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        charge_micro(-1, 1)


@given(st.integers(-(10**9), 10**12), st.integers(0, 10**9), st.integers(0, 200))
def test_asking_price_is_never_under_the_floor_or_the_minimum(
    floor: int, minimum: int, margin: int
) -> None:
    price = asking_price_micro(floor, minimum, margin)
    assert price >= floor and price >= minimum
    assert 100 * price >= (100 + margin) * floor or floor < 0
