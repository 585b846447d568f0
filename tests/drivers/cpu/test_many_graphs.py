"""Thousands of small graphs solved as the reference does, and large ones with known answers."""

from __future__ import annotations

import pytest
from grin_vectors import CUCKAROO19, CUCKATOO, HEADER

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import Method, Solver, needed_bytes
from drivers.kernels.graphs import Cycle, NonceForm
from drivers.kernels.reference import hash_graphs
from drivers.selftest import MAINNET_JOB, MAINNET_PROOF

KINDS = ((Cycle.CUCKAROO, (4, 8)), (Cycle.CUCKAROO, (2, 4)), (Cycle.CUCKATOO, (2, 4)))
#: Edge bits, proof size, graphs of each kind: 1,050 graphs, in which about 180 cycles are due.
SIZES = (
    *((10, 2, 150), (10, 4, 150), (10, 6, 150), (11, 8, 150), (11, 10, 100), (12, 14, 100)),
    *((12, 20, 100), (13, 32, 60), (14, 42, 60), (16, 42, 30)),
)
LEAN_BYTES = 560_000_000


def solvers(edge_bits: int, cycle: Cycle) -> list[Solver]:
    least = needed_bytes(Method.LEAN, edge_bits, cycle, 2)
    assert least
    lean = [
        Solver(edge_bits, 1 << 30, cycle, 1, Method.LEAN),
        Solver(edge_bits, least, cycle, 2, Method.LEAN),
    ]
    mean = needed_bytes(Method.MEAN, edge_bits, cycle)
    return lean + ([Solver(edge_bits, mean, cycle, 1, Method.MEAN)] if mean else [])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("cycle", "rounds"), KINDS)
def test_a_thousand_graphs_of_each_kind(cycle: Cycle, rounds: tuple[int, int]) -> None:
    graphs = cycles = 0
    for edge_bits, proof_size, count in SIZES:
        job = CuckooJob(b"a thousand graphs".ljust(32), edge_bits, rounds, proof_size, cycle)
        tried = solvers(edge_bits, cycle)
        for nonce, graph in enumerate(hash_graphs(job, range(count))):
            expected = graph.cycles()
            for solver in tried:
                found = solver.solve(job, nonce)
                assert found is not None
                assert [s.edges for s in found] == expected, (job, nonce, solver.method)
                survivors = solver.survivors()
                assert survivors == graph.survivors(len(survivors) - 1), (job, nonce)
            graphs, cycles = graphs + 1, cycles + len(expected)
        for solver in tried:
            solver.close()
    assert graphs >= 1000
    assert cycles >= 150


def test_grins_small_graphs() -> None:
    for nonce, _, edges in CUCKAROO19:
        job = CuckooJob(HEADER, 19, (2, 4), nonce_form=NonceForm.TROMP)
        for solver in solvers(19, job.cycle):
            assert edges in [s.edges for s in solver.solve(job, nonce) or []]
            solver.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("edge_bits", "nonce", "edges"), CUCKATOO)
def test_grins_large_graphs(edge_bits: int, nonce: int, edges: tuple[int, ...]) -> None:
    """Cuckatoo 29, 31 and 32, in 0.3, 0.8 and 1.6 GB."""
    cycle = Cycle.CUCKATOO
    job = CuckooJob(HEADER, edge_bits, (2, 4), 42, cycle, NonceForm.TROMP)
    memory_bytes = max(needed_bytes(Method.LEAN, edge_bits, cycle, 2) or 0, 330_000_000)
    solver = Solver(edge_bits, memory_bytes, cycle, 2, Method.LEAN)
    assert edges in [s.edges for s in solver.solve(job, nonce) or []]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_block_of_cortexs_main_network() -> None:
    solver = Solver(30, LEAN_BYTES, Cycle.CUCKAROO, 2, Method.LEAN)
    found = solver.solve(MAINNET_JOB, MAINNET_PROOF.nonce)
    assert found is not None
    assert MAINNET_PROOF in found
