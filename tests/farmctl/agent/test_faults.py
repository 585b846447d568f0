"""The ladder of what is done about faults."""

from __future__ import annotations

from farmctl.agent.faults import (
    CLEAN_SECONDS,
    DAY_SECONDS,
    LOWERED_POWER_RATIO,
    WINDOW_SECONDS,
    Backoff,
    Ladder,
)
from farmctl.domain import QUARANTINE_SECONDS, FaultStep


def test_the_gentlest_step_comes_first() -> None:
    ladder = Ladder()
    steps = [ladder.climb(float(second)) for second in range(5)]
    assert steps == [
        FaultStep.RESTART_SESSION,
        FaultStep.RESTART_SESSION,
        FaultStep.RESTART_RUNNER,
        FaultStep.LOWER_POWER,
        FaultStep.QUARANTINE,
    ]
    assert ladder.is_quarantined(5.0)
    assert not ladder.is_quarantined(4.0 + QUARANTINE_SECONDS)


def test_a_device_without_a_power_limit_is_started_anew_instead() -> None:
    ladder = Ladder()
    steps = [ladder.climb(float(second), can_lower=False) for second in range(5)]
    assert steps[3:] == [FaultStep.RESTART_RUNNER, FaultStep.QUARANTINE]
    assert ladder.power_ratio == 1.0


def test_lowered_power_is_given_back_after_a_clean_time() -> None:
    ladder = Ladder()
    for second in range(4):
        ladder.climb(float(second))
    assert ladder.power_ratio == LOWERED_POWER_RATIO
    assert not ladder.relax(100.0)
    assert ladder.relax(4.0 + CLEAN_SECONDS)
    assert ladder.power_ratio == 1.0
    assert not ladder.relax(5.0 + CLEAN_SECONDS), "told once"


def test_a_device_that_quarantine_does_not_mend_is_hopeless() -> None:
    ladder = Ladder()
    for time in (0.0, 5000.0, 10_000.0):
        assert not ladder.is_hopeless(time)
        for second in range(5):
            ladder.climb(time + second)
        ladder.release()
    assert ladder.is_hopeless(10_005.0)
    assert not ladder.is_hopeless(10_005.0 + DAY_SECONDS)


def test_rare_faults_never_lead_to_quarantine() -> None:
    ladder = Ladder()
    for number in range(50):
        assert ladder.climb(number * WINDOW_SECONDS) is FaultStep.RESTART_SESSION


def test_a_released_device_has_its_budget_again() -> None:
    ladder = Ladder()
    for second in range(5):
        ladder.climb(float(second))
    ladder.release()
    assert not ladder.is_quarantined(6.0)
    assert ladder.climb(6.0) is FaultStep.RESTART_SESSION


def test_restarts_wait_longer_until_one_lives() -> None:
    backoff = Backoff()
    waits = [backoff.next_seconds(lived_seconds=0.1) for _ in range(7)]
    assert waits == sorted(waits)
    assert waits[-1] == waits[-2] == 5.0
    assert backoff.next_seconds(lived_seconds=60.0) == waits[0]
