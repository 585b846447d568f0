"""The GPU benchmark over the kernels run on the host, and where there is no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import host_kernels
import pytest
from host_kernels import HostLauncher

from benchmarks import cuckoo_gpu
from drivers.kernels.gpu.planner import plan
from drivers.kernels.gpu.search import GpuSearch, Options
from drivers.kernels.gpu.shape import Gpu, Graphs, choose_shape
from drivers.kernels.graphs import Cycle

GPU = Gpu(1 << 28, 48 << 10, 96 << 10)
ONE_LANE = {"hash_threads": 1, "trim_threads": 1, "tail_threads": 1, "tail_groups": 2}


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("kernels")
    return host_kernels.build(folder)


def test_correctness_comes_first(kernels: Any) -> None:
    session = GpuSearch(lambda: HostLauncher(kernels), GPU, Options(shape=ONE_LANE))
    rows = cuckoo_gpu.check(session, small=20, large=1)
    assert [row["graphs"] for row in rows] == [20, 1] * 3
    assert sum(row["cycles"] for row in rows) > 0
    assert not any(row["edges_lost"] for row in rows)


def test_a_wrong_survivor_count_is_noticed(kernels: Any) -> None:
    tight = {**ONE_LANE, "slack": 0.0, "deviations": 0.0}
    session = GpuSearch(lambda: HostLauncher(kernels), GPU, Options(shape=tight))
    with pytest.raises(AssertionError):
        cuckoo_gpu.check(session, small=2, large=1)


def test_floor_is_of_this_device(kernels: Any) -> None:
    graphs = Graphs(12, (4, 8), Cycle.CUCKAROO)
    found = plan(graphs, GPU, choose_shape(graphs, GPU, **ONE_LANE))
    assert 0 < cuckoo_gpu.measure_floor(HostLauncher(kernels), found) < 1


def test_says_why_there_is_nothing_to_measure() -> None:
    found = cuckoo_gpu.run(quick=True)
    if found["rows"]:
        pytest.skip("not run: this machine has a GPU")
    assert set(found["absent"]) == {"cuda", "rocm"}
    assert all(found["absent"].values())
