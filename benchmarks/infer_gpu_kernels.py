"""The GPU kernels of INFER compiled for every architecture, without a GPU: registers and spills.

``--keep`` writes the report into the repository, where a test holds the source to it.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from benchmarks.kernel_resources import Architectures, keep_report, report_on
from drivers.kernels.gpu.source import INFER

KEPT = Path(__file__).parent / "results" / "infer_gpu_kernels.json"
#: Hopper with its own instructions; those after it use Ampere's.
NVIDIA: Architectures = (61, 75, 80, 86, 89, "90a", 100, 120)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.name} for the repository")


def run(quick: bool, keep: bool = False) -> dict[str, Any]:
    report = report_on(INFER, NVIDIA[-1:] if quick else NVIDIA)
    if keep:
        keep_report(KEPT, report)
    return report
