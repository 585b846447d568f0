"""The pace of shares, and bans, on a clock of their own."""

from __future__ import annotations

from node.stratum.bans import MAX_ADDRESSES, PATIENCE, Bans
from node.stratum.vardiff import MAX_KEPT, Vardiff

FAR = 2**64


def test_a_fast_miner_gets_harder_shares_until_the_pace_is_right() -> None:
    pace = Vardiff(share_seconds=10.0, minimum=1, began=0.0)
    now, speed = 0.0, 40.0  # work a second: at difficulty 400 a share takes ten seconds
    for template in range(1, 40):
        difficulty = pace.choose(template, FAR, now)
        for _ in range(int(30 * speed / difficulty)):
            pace.note(difficulty)
        now += 30
    assert 250 <= pace.difficulty() <= 600


def test_a_silent_miner_gets_easier_shares_down_to_the_least() -> None:
    pace = Vardiff(10.0, 4, 0.0, kept=[(1, 256)])
    found = [pace.choose(2 + n, FAR, 61.0 * (n + 1)) for n in range(6)]
    assert found == [64, 16, 4, 4, 4, 4]


def test_a_share_is_judged_by_what_its_job_said() -> None:
    pace = Vardiff(1.0, 1, 0.0)
    assert pace.choose(1, FAR, 0.0) == 1
    for _ in range(12):
        pace.note(1)
    assert pace.choose(2, FAR, 1.0) == 4
    assert pace.choose(2, FAR, 100.0) == 4, "one template has one difficulty"
    assert [pace.difficulty_at(n) for n in (1, 2, 3)] == [1, 4, 4]


def test_no_share_is_harder_than_a_block() -> None:
    pace = Vardiff(10.0, 100, 0.0)
    assert pace.choose(1, 7, 0.0) == 7 and pace.difficulty_at(1) == 7
    for template in range(2, 100):
        pace.choose(template, template, 0.0)
    assert len(pace.kept) <= MAX_KEPT


def test_bad_shares_among_good_ones_are_forgiven() -> None:
    now = [0.0]
    bans = Bans(600.0, lambda: now[0])
    for _ in range(1000):
        assert not bans.strike("a")
        bans.credit("a")
    for _ in range(1000):
        now[0] += 2.0
        assert not bans.strike("a"), "one in two seconds is forgiven"


def test_a_flood_is_banned_for_its_time() -> None:
    now = [0.0]
    bans = Bans(600.0, lambda: now[0])
    assert [bans.strike("a") for _ in range(int(PATIENCE))][-1]
    assert bans.is_banned("a") and not bans.is_banned("b") and bans.count() == 1
    assert not bans.strike("a", PATIENCE), "banned already"
    now[0] = 601.0
    assert not bans.is_banned("a") and bans.count() == 0


def test_the_memory_of_addresses_is_bounded() -> None:
    bans = Bans(1.0)
    for number in range(MAX_ADDRESSES + 10):
        bans.strike(str(number))
    assert len(bans._records) == MAX_ADDRESSES
