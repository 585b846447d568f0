"""A soak of five seconds: a real rig, a real bus, a real node, and a stand-in for NVIDIA's
library below the real CUDA family, whose power limits change meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_nvml import create_machine

from benchmarks.soak_processes import Life, Sample

ROOT = Path(__file__).parents[2]
SECONDS = 5


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    library = tmp_path / "libnvidia-ml.so.1"
    source = ROOT / "tests" / "drivers" / "cuda" / "fake_nvml.c"
    flags = ["-shared", "-fPIC", "-fvisibility=hidden", "-O1"]
    subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)
    monkeypatch.setenv("FAKE_NVML_STATE", "")
    create_machine(tmp_path / "machine")
    paths = {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    return {**os.environ, **paths}


@pytest.mark.timeout(300)
def test_five_seconds_of_everything(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    command = [sys.executable, "-m", "benchmarks.soak", "--seconds", str(SECONDS)]
    command += ["--edge-bits", "12", "--out", str(out)]
    ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert out.exists(), ran.stderr
    record: dict[str, Any] = json.loads(out.read_text())
    assert record["failures"] == [] and record["passed"] and ran.returncode == 0
    assert record["seconds"] >= SECONDS and record["graphs"] > 0 and record["jobs"] > 1
    assert record["submissions"] > 0 and record["wrong_submissions"] == 0
    assert record["shares"]["accepted"] > 0 and record["shares"]["invalid"] == 0
    assert record["runner_kills"] + record["pauses"] > 0
    assert record["power_limits"]["changes"] > 0 and record["power_limits"]["mismatches"] == 0


def grown(per_sample: int) -> Life:
    """A process that takes so many bytes, descriptors and threads more each ten seconds."""
    life = Life("runner", psutil.Process())
    for number in range(100):
        step = number * per_sample
        life.samples.append(Sample(number * 10.0, (50 << 20) + step, 10 + step, 4 + step))
    return life


def test_what_grows_is_a_leak() -> None:
    assert grown(0).leaks() == []
    found = grown(1 << 20).leaks()
    assert [leak.split()[0] for leak in found] == ["resident_bytes", "descriptors", "threads"]
