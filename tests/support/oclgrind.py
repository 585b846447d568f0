"""Scripts run under Oclgrind, which interprets the kernels and reports what they do wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = Path("/usr/lib/oclgrind/liboclgrind-rt-icd.so")
SECONDS = 600


def run(folder: Path, script: str, *arguments: str, **checks: str) -> tuple[str, str]:
    """What the script printed, and what Oclgrind reported; ``checks`` are its variables. It is
    the only platform of OpenCL there. Skips where it is not installed."""
    if not LIBRARY.is_file():
        pytest.skip(f"not run: no {LIBRARY}; install oclgrind")
    vendors, log = folder / "vendors", folder / "reports"
    vendors.mkdir()
    (vendors / "oclgrind.icd").write_text(f"{LIBRARY}\n")
    variables = {
        "OCL_ICD_VENDORS": str(vendors),
        "OCLGRIND_LOG": str(log),
        "PYTHONPATH": str(ROOT),
        **checks,
    }
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    return done.stdout.strip(), log.read_text() if log.is_file() else ""
