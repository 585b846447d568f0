"""The solver for little memory against the reference, and the choice between the solvers."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import CuckooSearch, Method, Solver, choose_method, needed_bytes
from drivers.errors import OutOfMemory
from drivers.kernels.graphs import MAX_EDGE_BITS, MIN_EDGE_BITS, VARIANTS, Cycle
from drivers.kernels.reference import hash_graph, hash_graphs
from tests.support.isas import skip_without

ROOT = Path(__file__).parents[3]
HEADER = bytes(range(32))
ROOMY = 1 << 30
CUCKAROO, CUCKATOO = Cycle.CUCKAROO, Cycle.CUCKATOO


def least_bytes(job: CuckooJob, threads: int = 1) -> int:
    needed = needed_bytes(Method.LEAN, job.edge_bits, job.cycle, threads)
    assert needed
    return needed


def check(job: CuckooJob, nonces: range, memory_bytes: int, threads: int = 1) -> int:
    """Cycles and survivors of each graph are the reference's. Returns how many cycles."""
    solver = Solver(job.edge_bits, memory_bytes, job.cycle, threads, Method.LEAN)
    total = 0
    for nonce, graph in zip(nonces, hash_graphs(job, nonces), strict=True):
        found = solver.solve(job, nonce)
        assert found is not None
        assert [solution.edges for solution in found] == graph.cycles(), nonce
        survivors = solver.survivors()
        assert survivors == graph.survivors(len(survivors) - 1), nonce
        total += len(found)
    solver.close()
    return total


@pytest.mark.parametrize("cycle", Cycle)
@pytest.mark.parametrize(
    ("edge_bits", "proof_size", "rounds", "graphs"),
    [
        (10, 2, (4, 8), 150),
        (10, 4, (2, 4), 150),
        (11, 8, (4, 8), 100),
        (12, 12, (2, 4), 100),
        (13, 20, (2, 4), 80),
    ],
)
def test_same_as_reference(
    cycle: Cycle, edge_bits: int, proof_size: int, rounds: tuple[int, int], graphs: int
) -> None:
    job = CuckooJob(HEADER, edge_bits, rounds, proof_size, cycle)
    half = graphs // 2
    found = check(job, range(half), ROOMY)
    found += check(job, range(half, graphs), least_bytes(job, 2), threads=2)
    assert found >= graphs / proof_size / 4, "too few cycles to mean anything"


@pytest.mark.parametrize(("edge_bits", "cycle"), [(22, CUCKAROO), (22, CUCKATOO)])
def test_several_slices_and_threads(edge_bits: int, cycle: Cycle) -> None:
    """Graphs whose bitmaps are more than one slice, with short and with long buckets."""
    job = CuckooJob(HEADER, edge_bits, (2, 4), 42, cycle)
    expected = hash_graph(job, 1).survivors(2)
    answers = []
    for threads, memory_bytes in ((1, ROOMY), (1, least_bytes(job)), (3, least_bytes(job, 3))):
        solver = Solver(edge_bits, memory_bytes, cycle, threads, Method.LEAN)
        answers.append((solver.solve(job, 1), solver.survivors()))
        solver.close()
    assert answers[0][1][:3] == expected
    assert answers[1] == answers[2] == answers[0]


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_solves_the_same(isa: str) -> None:
    skip_without(isa)
    script = (
        "import sys; from drivers.base import CuckooJob; from drivers.cpu import cuckoo, library\n"
        "assert library.isa() == sys.argv[1]\n"
        "for cycle in cuckoo.Cycle:\n"
        "    job = CuckooJob(bytes(range(32)), 16, (2, 4), 4, cycle)\n"
        "    solver = cuckoo.Solver(16, 1 << 30, cycle, 1, cuckoo.Method.LEAN)\n"
        "    print([s.edges for s in solver.solve(job, 7)], solver.survivors()[:5])"
    )
    environment = os.environ | {"FARMCPU_ISA": isa, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, isa]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    graphs = [hash_graph(CuckooJob(HEADER, 16, (2, 4), 4, cycle), 7) for cycle in Cycle]
    assert done.stdout.splitlines() == [f"{g.cycles()} {g.survivors(4)}" for g in graphs]


def test_the_same_solver_again_and_after_a_stop() -> None:
    job = CuckooJob(HEADER, 16)
    solver = Solver(16, least_bytes(job), method=Method.LEAN)
    first = [solver.solve(job, nonce) for nonce in (8, 7)]
    assert [len(found or ()) for found in first] == [1, 0]
    solver.stop()
    assert solver.solve(job, 8) is None
    solver.stop(False)
    assert [solver.solve(job, nonce) for nonce in (8, 7)] == first


def test_lean_takes_over_where_memory_is_short() -> None:
    needed = needed_bytes(Method.MEAN, 20, CUCKAROO)
    assert needed
    assert choose_method(20, CUCKAROO, needed) is Method.MEAN
    assert choose_method(20, CUCKAROO, needed - 1) is Method.LEAN


def test_a_session_is_as_good_with_little_memory() -> None:
    job = CuckooJob(HEADER, 16)
    answers = []
    for threads, memory_bytes in ((1, ROOMY), (2, ROOMY), (1, 200_000), (2, 200_000)):
        search = CuckooSearch(threads, memory_bytes)
        answers.append(search.search(job, 5, 7, lambda: False))
        search.close()
    assert answers[0][0] == 7
    assert len(answers[0][1]) == 1
    assert answers.count(answers[0]) == len(answers)


def test_a_session_changes_the_kind_of_cycle() -> None:
    search = CuckooSearch(1, ROOMY)
    for cycle in (CUCKAROO, CUCKATOO, CUCKAROO):
        job = CuckooJob(HEADER, 12, (2, 4), 6, cycle)
        done, found = search.search(job, 0, 20, lambda: False)
        expected = [graph.cycles() for graph in hash_graphs(job, range(20))]
        assert (done, [s.edges for s in found]) == (20, [e for some in expected for e in some])
    search.close()


@pytest.mark.parametrize("cycle", Cycle)
def test_memory_grows_with_the_graph(cycle: Cycle) -> None:
    needs = [needed_bytes(Method.LEAN, e, cycle) or 0 for e in range(10, 33)]
    assert all(small < large for small, large in pairwise(needs))
    assert needed_bytes(Method.LEAN, MIN_EDGE_BITS - 1, cycle) is None
    assert needed_bytes(Method.LEAN, MAX_EDGE_BITS + 1, cycle) is None


def test_cortex_fits_600_megabytes() -> None:
    """With 60 MB for the process itself."""
    assert (needed_bytes(Method.LEAN, 30, CUCKAROO) or 0) < 540e6


def test_too_little_memory_says_what_would_do() -> None:
    variant = VARIANTS["cuckatoo32"]
    job = CuckooJob.of(variant, HEADER)
    with pytest.raises(OutOfMemory, match=r"takes 1\d\d\d MiB.*up to 30 edge bits fit"):
        CuckooSearch(1, 400 << 20).search(job, 0, 1, lambda: False)
    with pytest.raises(OutOfMemory, match="no graph fits"):
        choose_method(30, CUCKAROO, 1000)
