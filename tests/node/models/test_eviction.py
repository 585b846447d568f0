"""Who makes way in a full cache, by each policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.model_cache import STREAMS, measure
from node.models.cache import Cache, Policy


def key(number: int) -> bytes:
    return number.to_bytes(2, "big")


def ask(cache: Cache[int], *numbers: int, size: int = 10) -> None:
    for number in numbers:
        cache.find(key(number), lambda number=number: (number, size))


@pytest.mark.parametrize("policy", Policy)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from("apf"), st.integers(0, 12), st.integers(1, 40)), max_size=120
    )
)
def test_a_cache_stays_in_its_bounds_and_gives_what_was_put(
    policy: Policy, moves: list[tuple[str, int, int]]
) -> None:
    cache: Cache[int] = Cache(100, policy)
    sizes: dict[int, int] = {}
    for move, number, size in moves:
        if move == "a":
            assert cache.get(key(number)) in (None, number)
        elif move == "p":
            cache.put(key(number), number, size)
            sizes[number] = size
        else:
            cache.forget(key(number))
            assert cache.get(key(number)) is None
        kept = [n for n in sizes if cache._entries.get(key(n))]
        counts = cache.counts()
        assert counts.used_bytes == sum(sizes[n] for n in kept) <= 100
        assert counts.entries == len(kept)


def test_lfu_keeps_the_popular_and_forgets_them_in_time() -> None:
    cache: Cache[int] = Cache(30, Policy.LFU)
    ask(cache, 1, 1, 1, 1, 2, 2, 3, 4, 5)
    assert cache.get(key(1)) == 1
    for number in range(10, 60):
        ask(cache, number, number)
    assert cache.get(key(1)) is None


def test_gdsf_lets_the_large_make_way() -> None:
    cache: Cache[int] = Cache(100, Policy.GDSF)
    ask(cache, 1, size=80)
    ask(cache, 2, 3, size=10)
    ask(cache, 4, size=10)
    assert cache.get(key(1)) is None
    assert [cache.get(key(n)) for n in (2, 3, 4)] == [2, 3, 4]


def test_s3_fifo_lets_a_scan_pass() -> None:
    cache: Cache[int] = Cache(100, Policy.S3_FIFO)
    ask(cache, 1, 2, 3, 1, 2, 3)
    ask(cache, *range(100, 140))
    ask(cache, 1, 2, 3)
    assert cache.counts().hits == 3 + 3
    plain: Cache[int] = Cache(100, Policy.LRU)
    ask(plain, 1, 2, 3, 1, 2, 3)
    ask(plain, *range(100, 140))
    ask(plain, 1, 2, 3)
    assert plain.counts().hits == 3


@pytest.mark.parametrize("stream", STREAMS)
def test_the_policies_differ_as_they_should(stream: str) -> None:
    """On models of very different sizes the one that knows of sizes hits most."""
    ratios = {policy: measure(policy, stream, 0.1, 4000)["hit_ratio"] for policy in Policy}
    assert max(ratios, key=lambda policy: ratios[policy]) is Policy.GDSF
    assert 0 < ratios[Policy.FIFO] <= ratios[Policy.GDSF]
