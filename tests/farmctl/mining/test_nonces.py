"""Stretches of nonces: they begin anywhere, never repeat, and pass the end."""

from __future__ import annotations

from farmctl.mining.nonces import END, Stretch


def test_a_stretch_counts_up_by_what_was_searched() -> None:
    stretch = Stretch(lambda: 100)
    assert stretch.take(10) == (100, 10)
    stretch.advance(3)
    assert stretch.take(10) == (103, 10)


def test_a_stretch_passes_the_last_nonce() -> None:
    stretch = Stretch(lambda: END - 3)
    assert stretch.take(10) == (END - 3, 3)
    stretch.advance(3)
    assert stretch.take(10) == (0, 10)


def test_stretches_of_a_large_farm_lie_apart() -> None:
    """100,000 of them are disjoint for 2^16 graphs each: by the formula this test fails once in
    28,000 runs."""
    starts = sorted(Stretch().take(1)[0] for _ in range(100_000))
    gaps = [b - a for a, b in zip(starts, [*starts[1:], starts[0] + END], strict=True)]
    assert min(gaps) >= 1 << 16
    assert starts[0] < END // 1000 and starts[-1] > END - END // 1000
