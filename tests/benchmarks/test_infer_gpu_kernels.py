"""INFER on GPUs: the kernels compile for every target, spill nothing, and are those reported."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from benchmarks.infer_gpu_kernels import KEPT, NVIDIA
from benchmarks.kernel_resources import (
    AMD,
    Resources,
    clang_version,
    find_clang,
    of_amd,
    of_nvidia,
)
from drivers.errors import DriverMissing
from drivers.kernels.gpu.nvrtc import version
from drivers.kernels.gpu.source import INFER, kernel_source, source_hash

UPDATE = "`python -m benchmarks infer_gpu_kernels --keep` writes the report anew"
KERNELS = 11
#: Compiled in every run of the tests; the others are the same instructions on other chips.
QUICK = (61, 75, 86, "90a", "gfx90a")
REGISTERS = 65536
#: Lanes of a group of each kernel that multiplies tiles, and groups that share a multiprocessor.
GROUPS = {"convolve_big": (256, 2), "convolve_tall": (128, 3), "convolve_small": (128, 4)}
WARPGROUPS = {**GROUPS, "convolve_tall": (256, 2)}
MOST_OF_AMD = 168


def is_slow(target: int | str) -> Any:
    return pytest.param(target, marks=[] if target in QUICK else [pytest.mark.slow])


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(KEPT.read_text())
    assert found["source"] == source_hash(INFER), f"the kernels have changed; {UPDATE}"
    return found


def check(found: list[Resources], kept: list[dict[str, Any]], same_compiler: bool) -> None:
    assert len(found) == KERNELS
    for kernel in found:
        assert (kernel.spilled, kernel.stack_bytes) == (0, 0), kernel
    if same_compiler:
        assert [asdict(kernel) for kernel in found] == kept, UPDATE


def of_target(report: dict[str, Any], target: str) -> list[dict[str, Any]]:
    return [row for row in report["rows"] if row["target"] == target]


@pytest.mark.parametrize("architecture", [*map(is_slow, NVIDIA)])
def test_nvidia(report: dict[str, Any], architecture: int | str) -> None:
    same_compiler = report["nvidia_compiler"] == version()
    found = of_nvidia(architecture, INFER)
    check(found, of_target(report, f"sm_{architecture}"), same_compiler)
    groups = WARPGROUPS if architecture == "90a" else GROUPS
    for kernel in found:
        lanes, count = groups.get(kernel.kernel, (128, 3))
        assert kernel.registers * lanes * count <= REGISTERS, kernel


@pytest.mark.parametrize("target", [*map(is_slow, AMD)])
def test_amd(report: dict[str, Any], target: str) -> None:
    try:
        clang = find_clang()
    except DriverMissing as error:
        pytest.skip(f"not run: {error}")
    same_compiler = report["amd_compiler"] == clang_version(clang)
    found = of_amd(clang, target, INFER)
    check(found, of_target(report, target), same_compiler)
    assert max(kernel.registers for kernel in found) <= MOST_OF_AMD


def test_the_report_covers_every_target(report: dict[str, Any]) -> None:
    targets = [*(f"sm_{number}" for number in NVIDIA), *AMD]
    assert {row["target"] for row in report["rows"]} == set(targets)


def test_source_is_whole() -> None:
    source = kernel_source(INFER)
    assert '#include "' not in source
    assert source.count("struct Finish {") == 1
    assert "ucontext" not in source
