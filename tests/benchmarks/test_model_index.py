"""The index is right before it is timed, and far quicker than what it replaces."""

from __future__ import annotations

from benchmarks import model_index


def test_the_index_answers_every_model_and_beats_the_walk() -> None:
    (row,) = model_index.run(quick=True)["rows"]
    assert row["models"] == model_index.QUICK_MODELS
    assert row["view_microseconds"] * 10 < row["state_microseconds"]
    assert 0 < row["memory_bytes_per_model"] < 2000
