"""Every family on one machine, at work, with a fault at a time."""

from __future__ import annotations

import pytest

from benchmarks import farm_of_all


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_fault_is_answered_and_disturbs_nobody() -> None:
    found = farm_of_all.run(quick=True)
    assert found["passed"], [row for row in found["rows"] if not row["passed"]] or found
