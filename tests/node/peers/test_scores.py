from __future__ import annotations

import pytest

from node.peers.limits import Allowance, Known
from node.peers.scores import BAN_SECONDS, HALF_LIFE_SECONDS, MAX_NAMES, Scores


class Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_points_add_up_to_a_ban_that_ends(watch: Watch) -> None:
    scores = Scores(clock=watch)
    assert not any(scores.add("a", 30.0, "late") for _ in range(3))
    assert scores.points("a") == 90
    assert scores.add("a", 30.0, "useless")
    assert scores.ban_seconds("a") == BAN_SECONDS
    assert scores.add("a", 1.0, "the connection is lost")
    assert scores.reason("a") == "useless", "what led to the ban stays its reason"
    assert scores.ban_seconds("b") == 0
    watch.now += BAN_SECONDS
    assert scores.ban_seconds("a") == 0
    assert scores.points("a") == 0


def test_points_fade(watch: Watch) -> None:
    scores = Scores(clock=watch)
    scores.add("a", 80.0, "late")
    watch.now += HALF_LIFE_SECONDS
    assert scores.points("a") == pytest.approx(40)
    assert not scores.add("a", 59.0, "late")
    assert scores.add("a", 1.0, "late")


def test_names_are_bounded(watch: Watch) -> None:
    scores = Scores(clock=watch)
    scores.add("first", 50.0, "late")
    for number in range(MAX_NAMES):
        scores.add(str(number), 1.0, "late")
    assert scores.points("first") == 0


def test_a_crowd_of_new_names_frees_nobody_who_is_banned(watch: Watch) -> None:
    scores = Scores(clock=watch)
    scores.add("bad", 100.0, "lies")
    for number in range(2 * MAX_NAMES):
        scores.add(str(number), 1.0, "late")
    assert scores.ban_seconds("bad") > 0


def test_an_allowance_fills_at_its_rate(watch: Watch) -> None:
    allowance = Allowance(2.0, 10.0, watch)
    assert allowance.take(10)
    assert not allowance.take()
    watch.now += 1
    assert allowance.take(2)
    assert allowance.wait_seconds(4) == pytest.approx(2.0)
    watch.now += 100
    assert allowance.wait_seconds(10) == 0
    assert not allowance.take()


def test_what_is_known_is_bounded_and_the_oldest_goes() -> None:
    known = Known(2)
    known.add([b"1", b"2", b"3"])
    assert b"1" not in known and b"3" in known and len(known) == 2
