"""Speed over searches of any length."""

from __future__ import annotations

import pytest

from farmctl.mining.speed import Speed


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("seconds", [0.01, 2.0, 45.0])
def test_the_speed_is_true_between_searches_too(seconds: float) -> None:
    """Ten graphs a search, one search after another."""
    clock = Clock()
    speed = Speed(clock=clock)
    for _ in range(5):
        clock.now += seconds
        speed.add(10, seconds)
        for share in (0.0, 0.5, 0.9):
            clock.now += share * seconds
            assert speed.graphs_per_second() == pytest.approx(10 / seconds)
            clock.now -= share * seconds


def test_a_search_cut_short_counts_for_what_it_did() -> None:
    clock = Clock()
    speed = Speed(clock=clock)
    clock.now += 2
    speed.add(10, 2.0)
    clock.now += 3
    speed.add(5, 3.0)
    assert speed.graphs_per_second() == pytest.approx(3.0)


def test_silence_is_no_speed() -> None:
    clock = Clock()
    speed = Speed(clock=clock)
    assert speed.graphs_per_second() == 0
    clock.now += 1
    speed.add(10, 1.0)
    clock.now += 9
    assert speed.graphs_per_second() == pytest.approx(10)
    clock.now += 2
    assert speed.graphs_per_second() == 0
    speed.add(10, 1.0)
    speed.forget()
    assert speed.graphs_per_second() == 0
