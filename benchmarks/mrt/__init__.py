"""What conversion costs: trained networks as float, in each integer form, and onnxruntime's int8.

Accuracy is on data that neither training nor calibration has seen; SQNR is of the outputs.
"""

from __future__ import annotations

from typing import Any


def run(quick: bool) -> dict[str, Any]:
    """Train, convert and judge. With ``quick`` two networks, trained for less long."""
    # Not at the top: torch takes seconds, and a list of benchmarks does not need it.
    from benchmarks.mrt.judging import judge
    from benchmarks.mrt.training import TASKS, train

    chosen = [task for task in TASKS if not quick or task.is_quick]
    return {task.name: judge(train(task, quick)) for task in chosen}
