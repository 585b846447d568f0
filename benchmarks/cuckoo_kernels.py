"""The GPU kernels compiled for every architecture, without a GPU: registers and spills.

``--keep`` writes the report into the repository, where a test holds the source to it.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from benchmarks.kernel_resources import NVIDIA, keep_report, report_on
from drivers.kernels.gpu.source import CUCKOO

KEPT = Path(__file__).parent / "results" / "cuckoo_kernels.json"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.name} for the repository")


def run(quick: bool, keep: bool = False) -> dict[str, Any]:
    report = report_on(CUCKOO, NVIDIA[-1:] if quick else NVIDIA)
    if keep:
        keep_report(KEPT, report)
    return report
