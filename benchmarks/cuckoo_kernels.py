"""The GPU kernels compiled for every architecture, without a GPU: registers and spills.

``--keep`` writes the report into the repository, where a test holds the source to it.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.kernel_resources import AMD, NVIDIA, clang_version, find_clang, of_amd, of_nvidia
from drivers.errors import DriverMissing
from drivers.kernels.gpu.nvrtc import version
from drivers.kernels.gpu.source import source_hash

KEPT = Path(__file__).parent / "results" / "cuckoo_kernels.json"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.name} for the repository")


def run(quick: bool, keep: bool = False) -> dict[str, Any]:
    report = {"source": source_hash(), **_nvidia(NVIDIA[-1:] if quick else NVIDIA), **_amd()}
    report["rows"] = [*report.pop("nvidia"), *report.pop("amd")]
    if keep:
        KEPT.write_text(json.dumps(report, indent=1) + "\n")
    return report


def _nvidia(architectures: tuple[int, ...]) -> dict[str, Any]:
    try:
        rows = [asdict(row) for number in architectures for row in of_nvidia(number)]
        return {"nvidia_compiler": version(), "nvidia": rows}
    except DriverMissing as error:
        return {"nvidia_compiler": f"not run: {error}", "nvidia": []}


def _amd() -> dict[str, Any]:
    try:
        clang = find_clang()
    except DriverMissing as error:
        return {"amd_compiler": f"not run: {error}", "amd": []}
    rows = [asdict(row) for target in AMD for row in of_amd(clang, target)]
    return {"amd_compiler": clang_version(clang), "amd": rows}
