"""The probe of exactness: its own sums, and what it says of ours and of a wrong engine."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.infer import probe, probed


def test_sums_are_those_of_a_convolution() -> None:
    case = next(iter(probe.cases()))
    image, weight = case.image[0], case.weight
    by_hand = sum(
        int(image[c, 2 + y, 3 + x]) * int(weight[5, c, y, x])
        for c in range(probe.CHANNELS)
        for y in range(probe.SIZE)
        for x in range(probe.SIZE)
    )
    assert case.sums()[0, 5, 2, 3] == by_hand


def test_cases_tell_wrong_arithmetic_apart() -> None:
    """The trap's pairs pass 16 bits, few answers are clipped, and half of the ties are ties."""
    trap, _, ties = probe.cases()
    pairs = trap.image[0, ::2, 0, 0] * trap.weight[:, ::2, 0, 0]
    pairs = pairs + trap.image[0, 1::2, 0, 0] * trap.weight[:, 1::2, 0, 0]
    assert (np.abs(pairs) > 32767).mean() > 0.4
    assert (np.abs(trap.expected()) < 127).mean() > 0.9
    assert 0.4 < (ties.sums() % 2 == 1).mean() < 0.6


def test_our_engine_is_exact() -> None:
    assert probe.probe("farmctl") == {"trap": 0, "random": 0, "ties": 0, "exact": True, "note": ""}


def test_rounding_to_even_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def round_to_even(case: probe.Case) -> np.ndarray:
        return np.clip(np.rint(case.sums() / 2**case.shift), -128, 127).astype(np.int64)

    monkeypatch.setattr(probed, "PROBED", {"peer": round_to_even})
    found = probe.probe("peer")
    assert not found["exact"] and "rounded otherwise" in found["note"]
    assert found["trap"] == found["ties"] == 0


def test_engine_that_breaks_is_told_with_its_reason() -> None:
    (row,) = probe.probe_all(["abacus"])
    assert row["exact"] is None and "abacus" in row["note"]


def test_engine_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "CHILD_SECONDS", 0.001)
    (row,) = probe.probe_all(["abacus"])
    assert row["exact"] is None and row["note"] == "no answer in 0.001 s"
