"""Every kernel under Oclgrind, which interprets them and reports races between work-items, reads
of memory that nobody wrote, accesses out of bounds and barriers that some work-items miss."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
LIBRARY = Path("/usr/lib/oclgrind/liboclgrind-rt-icd.so")

#: Searches two graphs whose second has a cycle, so that every kernel runs; ``barrier`` left out
#: of the kernels' text where asked.
SEARCH = """
import sys
from pathlib import Path
from drivers.base import CuckooJob
from drivers.kernels.graphs import Cycle
from drivers.kernels.opencl import trimmer
from drivers.kernels.opencl.devices import list_devices
from drivers.kernels.opencl.search import OpenClSearch

cycle, bits, limit, kernels = sys.argv[1:]
trimmer.SOURCES = (trimmer.SOURCES[0], Path(kernels))
trimmer.GROUP_LANES = 16
(device,) = list_devices()
assert "Oclgrind" in device.platform, device
search = OpenClSearch(device, int(limit), keep_words=0, bucket_bits=2)
job = CuckooJob(bytes(range(32)), int(bits), proof_size=2, cycle=Cycle(cycle))
done, found = search.search(job, 0, 2, lambda: False)
print(done, len(found), search.trimmer(job).plan.lean_rounds)
"""


@pytest.fixture
def vendors(tmp_path: Path) -> Path:
    if not LIBRARY.is_file():
        pytest.skip(f"not run: no {LIBRARY}; install oclgrind")
    (tmp_path / "vendors").mkdir()
    (tmp_path / "vendors/oclgrind.icd").write_text(f"{LIBRARY}\n")
    return tmp_path / "vendors"


def check(vendors: Path, cycle: str, bits: int, limit: int, kernels: Path) -> tuple[str, str]:
    """What the search printed, and what Oclgrind reported."""
    log = vendors.parent / "reports"
    variables = {
        "OCL_ICD_VENDORS": str(vendors),
        "OCLGRIND_DATA_RACES": "1",
        "OCLGRIND_UNINITIALIZED": "1",
        "OCLGRIND_LOG": str(log),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", SEARCH, cycle, str(bits), str(limit), str(kernels)]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip(), log.read_text() if log.is_file() else ""


KERNELS = ROOT / "drivers/kernels/opencl/cuckoo.cl"


@pytest.mark.parametrize(
    ("cycle", "limit", "lean_rounds"),
    [("cuckaroo", 1 << 20, 0), ("cuckatoo", 1 << 20, 0), ("cuckaroo", 24_000, 2)],
)
def test_kernels_are_clean(vendors: Path, cycle: str, limit: int, lean_rounds: int) -> None:
    answer, reports = check(vendors, cycle, 10, limit, KERNELS)
    done, found, lean = map(int, answer.split())
    assert (done, lean) == (2, lean_rounds)
    assert found, "without a cycle nothing is recovered"
    assert reports == ""


def test_a_missing_barrier_is_reported(vendors: Path, tmp_path: Path) -> None:
    """So that an empty report means something."""
    assert shutil.which("oclgrind")
    broken = tmp_path / "broken.cl"
    broken.write_text(KERNELS.read_text().replace("barrier(CLK_LOCAL_MEM_FENCE);", "", 1))
    _, reports = check(vendors, "cuckatoo", 10, 1 << 20, broken)
    assert "data race" in reports
    assert "trim" in reports
