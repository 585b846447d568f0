"""What each GPU kernel takes of a multiprocessor, from the compilers' own reports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drivers.errors import DriverMissing
from drivers.kernels.gpu.nvrtc import compile_cuda, version
from drivers.kernels.gpu.source import CUCKOO, Kernels, kernel_source, source_hash

Architectures = tuple[int | str, ...]
NVIDIA: Architectures = (61, 75, 80, 86, 89, 90, 100, 120)
AMD = ("gfx90a", "gfx1030", "gfx1100")
CLANGS = ("clang-19", "clang-20", "clang-18", "clang")
CLANG_OPTIONS = (
    *("-x", "hip", "--cuda-device-only", "--no-gpu-bundle-output", "-nogpuinc", "-nogpulib"),
    *("-std=c++17", "-O3", "-Rpass-analysis=kernel-resource-usage"),
)
PTXAS_KERNEL = re.compile(
    r"entry function '(?P<kernel>\w+)'.*?(?P<stack>\d+) bytes stack frame, "
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers",
    re.DOTALL,
)
REMARK = re.compile(r"remark:\s+(?P<name>[^:\[]+?)(?: \[[^\]]*\])?: (?P<value>\S+)")
SECONDS = 300


@dataclass(frozen=True)
class Resources:
    """Of one kernel on one architecture."""

    target: str
    kernel: str
    registers: int
    """32-bit ones a lane; on AMD those of the vector unit."""
    spilled: int
    """NVIDIA: bytes stored and loaded; AMD: registers."""
    stack_bytes: int
    """Local memory a lane; shared memory is given at launch."""


def keep_report(path: Path, report: dict[str, Any]) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n")


def report_on(kernels: Kernels, architectures: Architectures) -> dict[str, Any]:
    """Of all kernels on NVIDIA's architectures and on those of `AMD`."""
    report = {"source": source_hash(kernels), **_nvidia(kernels, architectures), **_amd(kernels)}
    report["rows"] = [*report.pop("nvidia"), *report.pop("amd")]
    return report


def _nvidia(kernels: Kernels, architectures: Architectures) -> dict[str, Any]:
    try:
        rows = [asdict(row) for number in architectures for row in of_nvidia(number, kernels)]
        return {"nvidia_compiler": version(), "nvidia": rows}
    except DriverMissing as error:
        return {"nvidia_compiler": f"not run: {error}", "nvidia": []}


def _amd(kernels: Kernels) -> dict[str, Any]:
    try:
        clang = find_clang()
    except DriverMissing as error:
        return {"amd_compiler": f"not run: {error}", "amd": []}
    rows = [asdict(row) for target in AMD for row in of_amd(clang, target, kernels)]
    return {"amd_compiler": clang_version(clang), "amd": rows}


def of_nvidia(architecture: int | str, kernels: Kernels = CUCKOO) -> list[Resources]:
    """Raises `DriverMissing` without NVRTC."""
    log = compile_cuda(kernel_source(kernels), architecture).log
    return [
        Resources(
            target=f"sm_{architecture}",
            kernel=found["kernel"],
            registers=int(found["registers"]),
            spilled=int(found["stores"]) + int(found["loads"]),
            stack_bytes=int(found["stack"]),
        )
        for found in PTXAS_KERNEL.finditer(log)
    ]


def find_clang() -> str:
    """Raises `DriverMissing` where there is no clang with its linker for AMD's code."""
    for name in CLANGS:
        suffix = name.removeprefix("clang")
        if shutil.which(name) and shutil.which(f"ld.lld{suffix}"):
            return name
    raise DriverMissing("clang and lld are not installed; `apt install clang-19 lld-19` adds them")


def clang_version(clang: str) -> str:
    told = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True)
    return told.stdout.splitlines()[0]


def of_amd(clang: str, target: str, kernels: Kernels = CUCKOO) -> list[Resources]:
    """Raises `subprocess.CalledProcessError` if clang refuses the source."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "kernels.co"
        options = [*CLANG_OPTIONS, f"-D{kernels.bare_hip}", f"--offload-arch={target}"]
        command = [clang, *options, "-o", str(output), str(kernels.path)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    remarks: list[dict[str, str]] = []
    for found in REMARK.finditer(told.stderr):
        if found["name"] == "Function Name":
            remarks.append({})
        remarks[-1][found["name"]] = found["value"]
    return [
        Resources(
            target=target,
            kernel=kernel["Function Name"],
            registers=int(kernel["VGPRs"]),
            spilled=int(kernel["SGPRs Spill"]) + int(kernel["VGPRs Spill"]),
            stack_bytes=int(kernel["ScratchSize"]),
        )
        for kernel in remarks
    ]
