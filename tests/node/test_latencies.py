"""How long the last requests took."""

from __future__ import annotations

import pytest

from node.latencies import RECENT, Latencies


def test_before_the_first_there_is_no_time() -> None:
    assert Latencies().milliseconds(0.5) is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 100.0)]
)
def test_shares_of_a_hundred(share: float, expected: float) -> None:
    latencies = Latencies()
    for milliseconds in range(100, 0, -1):
        latencies.add(milliseconds / 1000)
    assert latencies.milliseconds(share) == expected


def test_only_the_last_count() -> None:
    latencies = Latencies()
    for seconds in (9.0, *[0.001] * RECENT):
        latencies.add(seconds)
    assert latencies.milliseconds(1.0) == 1.0
