"""The load on the pool in small: every share is answered, and its cost is told."""

from __future__ import annotations

import pytest

from benchmarks import stratum


def test_every_share_of_the_load_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stratum, "QUICK_MINERS", 400)
    monkeypatch.setattr(stratum, "SHARES_PER_SECOND", 200)
    (row,) = stratum.run(quick=True)["rows"]
    assert (row["connections"], row["shares"], row["refused"]) == (400, 400, 0)
    assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["most_ms"]
    assert 0 < row["server_memory_megabytes"] < 500
