"""The GPU kernels, run on the host, against the reference."""

from __future__ import annotations

import ctypes
import dataclasses

import numpy as np
import pytest
from host_kernels import HostLauncher

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import Solver
from drivers.kernels.gpu import layout
from drivers.kernels.gpu.planner import least_memory_bytes, plan
from drivers.kernels.gpu.shape import Gpu, Graphs, Shape, choose_shape
from drivers.kernels.gpu.trimmer import Trimmed, Trimmer
from drivers.kernels.graphs import Cycle
from drivers.kernels.jobs import keys_of_job
from drivers.kernels.reference import hash_graph

GPU = Gpu(1 << 28, 48 << 10, 96 << 10)
HEADER = bytes(range(32))
CORTEX, GRIN = ((4, 8), Cycle.CUCKAROO), ((2, 4), Cycle.CUCKAROO)
CUCKATOO = ((2, 4), Cycle.CUCKATOO)
ONE_LANE = {"hash_threads": 1, "trim_threads": 1, "tail_threads": 1, "tail_groups": 2}
#: Odd numbers of lanes, other in each kernel; two groups run side by side.
LANES = {"hash_threads": 2, "trim_threads": 3, "tail_threads": 2, "tail_groups": 3}


def job_of(edge_bits: int, member: tuple[tuple[int, int], Cycle]) -> CuckooJob:
    return CuckooJob(HEADER, edge_bits, member[0], cycle=member[1])


def shape_for(graphs: Graphs, **chosen: object) -> Shape:
    return choose_shape(graphs, GPU, **{**ONE_LANE, **chosen})  # type: ignore[arg-type]


def trim(
    kernels: ctypes.CDLL, job: CuckooJob, nonce: int, memory_share: float = 1.0, **chosen: object
) -> Trimmed:
    graphs = Graphs(job.edge_bits, job.rounds, job.cycle)
    shape = shape_for(graphs, **chosen)
    gpu = GPU
    if memory_share < 1:
        ample = plan(graphs, GPU, shape).memory_bytes
        least = least_memory_bytes(graphs, shape)
        gpu = dataclasses.replace(GPU, memory_bytes=max(least, int(ample * memory_share)))
    groups_at_once = 1 if shape.trim_threads == 1 else 2
    trimmer = Trimmer(HostLauncher(kernels, groups_at_once), plan(graphs, gpu, shape))
    for number in (nonce + 1, nonce):  # Nothing is left over from the graph before.
        trimmer.start(keys_of_job(job, number))
        found = trimmer.wait()
    trimmer.close()
    return found


def test_records_are_those_of_the_kernels(kernels: ctypes.CDLL) -> None:
    sizes = (ctypes.c_uint32 * 4)()
    kernels.cuckoo_host_sizes(sizes)
    kinds = (layout.SEGMENT, layout.STEP, layout.FOUND, layout.JOB)
    assert list(sizes) == [kind.itemsize for kind in kinds]


@pytest.mark.parametrize("member", [CORTEX, GRIN, CUCKATOO], ids=["4-8", "2-4", "cuckatoo"])
@pytest.mark.parametrize("edge_bits", [10, 11, 14, 17])
def test_survivors_of_every_round(
    kernels: ctypes.CDLL, edge_bits: int, member: tuple[tuple[int, int], Cycle]
) -> None:
    job = job_of(edge_bits, member)
    for nonce in range(4 if edge_bits < 15 else 1):
        found = trim(kernels, job, nonce, rounds=20, bucket_rounds=9)
        assert found.survivors == hash_graph(job, nonce).survivors(20)
        assert found.lost == 0
        assert len(found.entries) == found.survivors[-1]


@pytest.mark.parametrize(
    "chosen",
    [
        {"bucket_bits": 1},
        {"bucket_bits": 9},
        {"bucket_bits": 3, "aggregate_hash": True, "aggregate_trim": True},
        {"aggregate_hash": False, "aggregate_trim": True},
        {"bucket_rounds": 1},
        {"bucket_rounds": 16},
        {"memory_share": 0.7},
        {"memory_share": 0.0, "bucket_bits": 5, "slack": 0.0, "deviations": 5.0},
    ],
    ids=str,
)
def test_survivors_do_not_depend_on_the_plan(
    kernels: ctypes.CDLL, chosen: dict[str, object]
) -> None:
    job = job_of(11, CORTEX)
    found = trim(kernels, job, 5, **{"rounds": 16, "bucket_rounds": 6, **chosen})  # type: ignore[arg-type]
    assert found.survivors == hash_graph(job, 5).survivors(16)
    assert found.lost == 0


@pytest.mark.parametrize(
    ("aggregate", "tail_threads"),
    [
        (1, 1),
        pytest.param(0, 1, marks=pytest.mark.slow),
        pytest.param(1, 3, marks=pytest.mark.slow),
    ],
)
def test_lanes_and_groups_side_by_side(
    kernels: ctypes.CDLL, aggregate: int, tail_threads: int
) -> None:
    """Few rounds of a small graph: barriers between threads are slow on a busy processor."""
    chosen = {**LANES, "aggregate_hash": aggregate, "aggregate_trim": aggregate}
    chosen |= {"bucket_bits": 2, "rounds": 4, "bucket_rounds": 2, "tail_threads": tail_threads}
    found = trim(kernels, job_of(10, CORTEX), 5, **chosen)
    assert found.survivors == hash_graph(job_of(10, CORTEX), 5).survivors(4)


@pytest.mark.parametrize("aggregate", [True, False])
def test_what_finds_no_room_is_counted(kernels: ctypes.CDLL, aggregate: bool) -> None:
    job = job_of(14, CORTEX)
    tiny = {"slack": 0.0, "deviations": 0.0, "aggregate_hash": aggregate}
    found = trim(kernels, job, 0, rounds=8, bucket_rounds=1, bucket_bits=6, **tiny)
    lost = 2**14 - found.survivors[0]
    assert 0 < lost < 2**14 // 10
    assert found.lost >= lost
    assert found.survivors[1] < hash_graph(job, 0).survivors(1)[1]


@pytest.mark.parametrize("memory_share", [1.0, 0.75, 0.53])
def test_slack_suffices_for_buckets_of_the_size_used(
    kernels: ctypes.CDLL, memory_share: float
) -> None:
    """Buckets of 2^17 edges, as in large graphs on small cards: none overflows, in one pass or
    two, with rounds whole or in parts."""
    job, solver = job_of(20, CORTEX), Solver(20, 1 << 30)
    assert solver.solve(job, 1) is not None
    rounds = len(solver.survivors()) - 1
    chosen = {"bucket_bits": 3, "rounds": max(rounds, 24), "bucket_rounds": 20}
    found = trim(kernels, job, 1, memory_share, **chosen)
    assert found.lost == 0
    assert found.survivors[: rounds + 1] == solver.survivors()[: len(found.survivors)]


def test_entries_left_are_edges_of_the_graph(kernels: ctypes.CDLL) -> None:
    job = job_of(12, CORTEX)
    graph = hash_graph(job, 3)
    left = trim(kernels, job, 3, rounds=12, bucket_rounds=4).entries
    every = graph.v.astype(np.uint64) << np.uint64(32) | graph.u
    assert np.isin(left, every).all()
