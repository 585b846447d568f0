"""Every family on one machine, at work, while one fault after another is injected.

Eight H200s behind a fake libnvidia-ml, four MI300Xs in a tree of files, two simulated FPGA cores,
two sticks of the reference firmware and the processor; the real agent with its runners and
session workers, the real bus and the real controller. Fake GPUs cannot compute: their searches
run on the processor, and each proof and each inference is checked here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.farm_of_all.trial import run_trial


def run(quick: bool) -> dict[str, Any]:
    """``quick`` leaves out the faults whose answer takes minutes."""
    return asyncio.run(run_trial(quick))
