"""Every kernel under Oclgrind, which interprets them and reports races between work-items, reads
of memory that nobody wrote, accesses out of bounds and barriers that some work-items miss."""

from __future__ import annotations

from pathlib import Path

import oclgrind
import pytest

from drivers.kernels.opencl import trimmer

CHECKS = {"OCLGRIND_DATA_RACES": "1", "OCLGRIND_UNINITIALIZED": "1"}
KERNELS = Path(trimmer.__file__).with_name("cuckoo.cl")

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


def check(folder: Path, cycle: str, limit: int, kernels: Path) -> tuple[str, str]:
    """What the search of graphs of 10 bits printed, and what Oclgrind reported."""
    return oclgrind.run(folder, SEARCH, cycle, "10", str(limit), str(kernels), **CHECKS)


@pytest.mark.parametrize(
    ("cycle", "limit", "lean_rounds"),
    [("cuckaroo", 1 << 20, 0), ("cuckatoo", 1 << 20, 0), ("cuckaroo", 24_000, 2)],
)
def test_kernels_are_clean(tmp_path: Path, cycle: str, limit: int, lean_rounds: int) -> None:
    answer, reports = check(tmp_path, cycle, limit, KERNELS)
    done, found, lean = map(int, answer.split())
    assert (done, lean) == (2, lean_rounds)
    assert found, "without a cycle nothing is recovered"
    assert reports == ""


def test_a_missing_barrier_is_reported(tmp_path: Path) -> None:
    """So that an empty report means something."""
    broken = tmp_path / "broken.cl"
    broken.write_text(KERNELS.read_text().replace("barrier(CLK_LOCAL_MEM_FENCE);", "", 1))
    _, reports = check(tmp_path, "cuckatoo", 1 << 20, broken)
    assert "data race" in reports
    assert "trim" in reports
