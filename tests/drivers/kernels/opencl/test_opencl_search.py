"""The OpenCL kernels and session on a processor (PoCL) against the slow reference."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from drivers.base import CuckooJob, CuckooSolution
from drivers.cpu.cuckoo import Solver
from drivers.errors import BadArgument, OutOfMemory
from drivers.kernels.graphs import Cycle
from drivers.kernels.jobs import keys_of_job
from drivers.kernels.opencl.devices import OpenClDevice
from drivers.kernels.opencl.search import OpenClSearch
from drivers.kernels.reference import Graph, hash_graphs

HEADER = bytes(range(32))
CORTEX, GRIN = (4, 8), (2, 4)
MIB = 1 << 20


def never() -> bool:
    return False


def check_graph(search: OpenClSearch, job: CuckooJob, nonce: int, graph: Graph) -> int:
    """Compare survivors and cycles with the reference's; how many cycles there are."""
    done, found = search.search(job, nonce, 1, never)
    assert done == 1
    assert [s.edges for s in found] == graph.cycles(), f"nonce {nonce}"
    core = search.trimmer(job).trim(keys_of_job(job, nonce), never)
    assert core.survivors == graph.survivors(len(core.survivors) - 1), f"nonce {nonce}"
    assert core.lost_edges == 0
    return len(found)


def check_graphs(search: OpenClSearch, job: CuckooJob, graphs: int) -> None:
    hashed = enumerate(hash_graphs(job, range(graphs)))
    cycles = sum(check_graph(search, job, nonce, graph) for nonce, graph in hashed)
    assert cycles >= graphs / job.proof_size / 4, "too few cycles to mean anything"


CASES = [
    (CuckooJob(HEADER, 10, CORTEX, 2), 60, {}),
    (CuckooJob(HEADER, 12, CORTEX, 4), 60, {}),
    (CuckooJob(HEADER, 13, CORTEX, 42), 84, {}),
    (CuckooJob(HEADER, 12, GRIN, 6), 60, {"keep_words": 0}),
    (CuckooJob(HEADER, 10, GRIN, 2, Cycle.CUCKATOO), 60, {}),
    (CuckooJob(HEADER, 13, GRIN, 42, Cycle.CUCKATOO), 84, {}),
    (CuckooJob(HEADER, 12, GRIN, 4, Cycle.CUCKATOO), 30, {"memory_limit_bytes": 30_000}),
    (CuckooJob(HEADER, 13, CORTEX, 4), 30, {"memory_limit_bytes": 70_000}),
    (CuckooJob(HEADER, 13, CORTEX, 4), 15, {"bucket_bits": 0}),
    (CuckooJob(HEADER, 13, CORTEX, 4), 15, {"bucket_bits": 7}),
]


@pytest.mark.parametrize(("job", "graphs", "options"), CASES)
def test_agrees_with_the_reference(
    processor: OpenClDevice, job: CuckooJob, graphs: int, options: dict[str, Any]
) -> None:
    search = OpenClSearch(processor, **options)
    check_graphs(search, job, graphs)
    lean = search.trimmer(job).plan.lean_rounds
    assert bool(lean) == ("memory_limit_bytes" in options)
    search.close()


@pytest.mark.slow
@pytest.mark.parametrize("cycle", Cycle)
@pytest.mark.parametrize("edge_bits", [10, 11, 12, 13, 14])
def test_agrees_on_two_thousand_graphs(search: OpenClSearch, edge_bits: int, cycle: Cycle) -> None:
    size = {10: 2, 11: 4, 12: 8}.get(edge_bits, 42)
    check_graphs(search, CuckooJob(HEADER, edge_bits, CORTEX, size, cycle), 200)


@pytest.mark.parametrize(("edge_bits", "graphs"), [(16, 30), (19, 3)])
def test_agrees_with_the_native_solver(search: OpenClSearch, edge_bits: int, graphs: int) -> None:
    job, solver = CuckooJob(HEADER, edge_bits), Solver(edge_bits, 1 << 30)
    expected: list[CuckooSolution] = []
    for nonce in range(graphs):
        expected += solver.solve(job, nonce) or []
        core = search.trimmer(job).trim(keys_of_job(job, nonce), never)
        common = min(len(core.survivors), len(solver.survivors()))
        assert core.survivors[:common] == solver.survivors()[:common]
        assert common > 10
    told: list[CuckooSolution] = []
    assert search.search(job, 0, graphs, never, told.append) == (graphs, expected)
    assert told == expected


def test_small_devices_give_the_same(processor: OpenClDevice, search: OpenClSearch) -> None:
    """Lists in four allocations, and local memory that makes more buckets."""
    job = CuckooJob(HEADER, 14, proof_size=4)
    small = replace(processor, max_allocation_bytes=60_000, local_bytes=512)
    split = OpenClSearch(small)
    assert split.search(job, 0, 10, never) == search.search(job, 0, 10, never)
    plan = split.trimmer(job).plan
    assert (plan.near.parts, plan.counter_bytes) == (4, 512)
    split.close()


def test_overflow_is_counted_and_told(
    search: OpenClSearch, caplog: pytest.LogCaptureFixture
) -> None:
    """Buckets too small for the edges lose some; nothing else goes wrong."""
    job = CuckooJob(HEADER, 14, proof_size=4)
    _, whole = search.search(job, 0, 20, never)
    plan = search.trimmer(job).plan
    search.use_plan(job, replace(plan, near=replace(plan.near, capacity=1000)))
    with caplog.at_level(logging.WARNING):
        done, found = search.search(job, 0, 20, never)
    assert done == 20
    listed = 20 * (1000 << plan.near.bucket_bits)
    assert search.lost_edges >= 20 * (1 << 14) - listed > 0
    assert set(found) < set(whole)
    assert "found no room" in caplog.text


def test_stop_ends_a_running_graph(search: OpenClSearch) -> None:
    job = CuckooJob(HEADER, 22)
    search.search(CuckooJob(HEADER, 12), 0, 1, never)
    timer = threading.Timer(0.3, search.stop)
    timer.start()
    started = time.monotonic()
    done, _ = search.search(job, 0, 1000, never)
    assert done < 1000
    assert time.monotonic() - started < 20
    assert search.search(job, 0, 5, never) == (0, [])
    search.stop(False)
    assert search.search(CuckooJob(HEADER, 12), 0, 3, never)[0] == 3


def test_stop_is_heard_at_each_round(search: OpenClSearch) -> None:
    """A graph that is stopped after any number of its steps counts as not done, and leaves
    nothing behind in the next."""
    job = CuckooJob(HEADER, 14, proof_size=4)
    expected = search.search(job, 0, 8, never)
    for steps in range(1, 12):
        heard = iter([False] * steps)
        done, _ = search.search(job, 0, 1, lambda heard=heard: next(heard, True))  # type: ignore[misc]
        assert done == 0
    assert search.search(job, 0, 8, never) == expected


def test_jobs_of_other_sizes_take_turns(search: OpenClSearch) -> None:
    small, other = CuckooJob(HEADER, 12, proof_size=4), CuckooJob(HEADER, 13, GRIN, 4)
    expected = [search.search(job, 0, 5, never) for job in (small, other)]
    search.release()
    assert [search.search(job, 0, 5, never) for job in (small, other)] == expected


def test_memory_that_does_not_suffice(processor: OpenClDevice) -> None:
    search = OpenClSearch(processor, memory_limit_bytes=2 * MIB)
    with pytest.raises(OutOfMemory, match="edge bits would fit"):
        search.search(CuckooJob(HEADER, 30), 0, 1, never)
    assert search.search(CuckooJob(HEADER, 12), 0, 1, never)[0] == 1
    search.close()
    with pytest.raises(BadArgument, match="positive"):
        OpenClSearch(processor, memory_limit_bytes=0)


def test_the_device_itself_runs_out(processor: OpenClDevice) -> None:
    """A device that claims more than it has: its own refusal comes as ours."""
    boaster = replace(processor, memory_bytes=1 << 60, max_allocation_bytes=1 << 60)
    search = OpenClSearch(boaster)
    with pytest.raises(OutOfMemory, match="gives no buffer of this size"):
        search.search(CuckooJob(HEADER, 32), 0, 1, never)
    search.close()


@pytest.mark.parametrize(
    "job", [CuckooJob(HEADER, 9), CuckooJob(HEADER[:31], 12), CuckooJob(HEADER, 12, proof_size=3)]
)
def test_bad_jobs_are_refused(search: OpenClSearch, job: CuckooJob) -> None:
    with pytest.raises(BadArgument):
        search.search(job, 0, 1, never)
