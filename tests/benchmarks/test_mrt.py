"""The benchmark of conversions: its smallest network, in each form and by the peer."""

from __future__ import annotations

from benchmarks.mrt.judging import judge
from benchmarks.mrt.training import TASKS, train


def test_judging_a_network():
    (task,) = (each for each in TASKS if each.name.startswith("breast cancer"))
    rows = {row["variant"]: row for row in judge(train(task, quick=True))}
    assert rows["float32"]["accuracy"] > 0.93
    ours, theirs = rows["extension"], rows["onnxruntime int8 (QDQ, per channel)"]
    assert ours["sqnr_db"] > 33 and theirs["sqnr_db"] > 33
    for row in rows.values():
        assert row["accuracy"] > rows["float32"]["accuracy"] - 0.03, row
