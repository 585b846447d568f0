"""The GPU kernels compile for every architecture, spill nothing, and are those reported."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from benchmarks.cuckoo_kernels import KEPT
from benchmarks.kernel_resources import (
    AMD,
    NVIDIA,
    Resources,
    clang_version,
    find_clang,
    of_amd,
    of_nvidia,
)
from drivers.errors import DriverMissing
from drivers.kernels.gpu.nvrtc import version
from drivers.kernels.gpu.source import source_hash

UPDATE = "`python -m benchmarks cuckoo_kernels --keep` writes the report anew"
KERNELS = 11
#: So that two groups of 512 lanes of `trim` share a multiprocessor's 65,536 registers. Of the
#: others the shared memory lets no more than 384 lanes share one. AMD has several times as many.
MOST_REGISTERS, MOST_OF_TRIM = 80, 64


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(KEPT.read_text())
    assert found["source"] == source_hash(), f"the kernels have changed; {UPDATE}"
    return found


def check(found: list[Resources], kept: list[dict[str, Any]], same_compiler: bool) -> None:
    assert len(found) == KERNELS
    for kernel in found:
        assert (kernel.spilled, kernel.stack_bytes) == (0, 0), kernel
        is_tight = kernel.kernel == "trim" and kernel.target.startswith("sm_")
        most = MOST_OF_TRIM if is_tight else MOST_REGISTERS
        assert 0 < kernel.registers <= most, kernel
    if same_compiler:
        assert [asdict(kernel) for kernel in found] == kept, UPDATE


def of_target(report: dict[str, Any], target: str) -> list[dict[str, Any]]:
    return [row for row in report["rows"] if row["target"] == target]


@pytest.mark.parametrize("architecture", NVIDIA)
def test_nvidia(report: dict[str, Any], architecture: int) -> None:
    same_compiler = report["nvidia_compiler"] == version()
    check(of_nvidia(architecture), of_target(report, f"sm_{architecture}"), same_compiler)


@pytest.mark.parametrize("target", AMD)
def test_amd(report: dict[str, Any], target: str) -> None:
    try:
        clang = find_clang()
    except DriverMissing as error:
        pytest.skip(f"not run: {error}")
    same_compiler = report["amd_compiler"] == clang_version(clang)
    check(of_amd(clang, target), of_target(report, target), same_compiler)


def test_the_report_covers_every_target(report: dict[str, Any]) -> None:
    targets = [*(f"sm_{number}" for number in NVIDIA), *AMD]
    assert {row["target"] for row in report["rows"]} == set(targets)
