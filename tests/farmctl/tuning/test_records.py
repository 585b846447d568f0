"""What the tuner keeps, and that only the same device, driver and graphs find it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.base import CuckooJob, DeviceInfo
from drivers.kernels.graphs import VARIANTS
from farmctl.errors import StoreError
from farmctl.tuning.records import Tuned, TuningFile, algorithm_of

INFO = DeviceInfo("cuda:0", "GPU-1", "cuda", "Test", frozenset(), driver_version="580")
JOB = CuckooJob(bytes(32), 30)


def tuned(**changes: object) -> Tuned:
    fields = {
        "hardware_id": "GPU-1",
        "driver_version": "580",
        "algorithm": "cuckaroo 4-8",
        "edge_bits": 30,
        "options": {"graphs": 2},
        "graphs_per_second": 24.0,
        "measured_at": 1.0,
    }
    return Tuned.model_validate(fields | changes)


def test_newest_is_found_by_the_same_device_driver_and_graphs(tmp_path: Path) -> None:
    file = TuningFile(tmp_path / "rig")
    assert file.find(INFO, JOB) is None
    file.put(tuned())
    file.put(tuned(edge_bits=29))
    file.put(tuned(graphs_per_second=25.0))
    found = file.find(INFO, JOB)
    assert found is not None
    assert found.graphs_per_second == 25
    assert len(json.loads(file.path.read_text())["tuned"]) == 2
    assert file.find(replace(INFO, id="cuda:3"), JOB) == found
    assert file.find(replace(INFO, hardware_id="GPU-2"), JOB) is None
    assert file.find(replace(INFO, driver_version="590"), JOB) is None
    assert file.find(INFO, replace(JOB, rounds=(2, 4))) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"version": 2, "tuned": []}', b'{"version": 1, "tuned": [{}]}']
)
def test_damaged_file_counts_as_none_and_is_not_written_over(
    tmp_path: Path, content: bytes
) -> None:
    file = TuningFile(tmp_path)
    file.path.write_bytes(content)
    assert file.find(INFO, JOB) is None
    with pytest.raises(StoreError, match="delete it and tune again"):
        file.put(tuned())
    assert file.path.read_bytes() == content


def test_algorithms_are_told_apart() -> None:
    names = {algorithm_of(CuckooJob.of(v, bytes(32))) for v in VARIANTS.values()}
    assert names == {"cuckaroo 4-8", "cuckaroo 2-4", "cuckatoo 2-4"}
