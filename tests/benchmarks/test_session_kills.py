"""The bounded form of `benchmarks.session_kills`: sessions die at work and leave nothing."""

from __future__ import annotations

from benchmarks import session_kills


def test_killed_sessions_leave_nothing() -> None:
    found = session_kills.run(quick=True)
    assert [row["kills"] for row in found["rows"]] == [3, 3, 3, 3]
    assert found["passed"], found
