"""The reference against published numbers and against what follows from its definition."""

from __future__ import annotations

import numpy as np
import pytest
from grin_vectors import CUCKAROO19, CUCKATOO, HEADER

from drivers.base import CuckooJob
from drivers.cpu.cuckoo import Proof
from drivers.cpu.cuckoo import verify as verify_natively
from drivers.errors import BadArgument
from drivers.kernels.graphs import Cycle, NonceForm
from drivers.kernels.reference import Graph, hash_graph, hash_graphs, verify
from drivers.selftest import CUCKOO_ANSWER, CUCKOO_JOB, MAINNET_JOB, MAINNET_PROOF

KINDS = ((Cycle.CUCKAROO, (4, 8)), (Cycle.CUCKAROO, (2, 4)), (Cycle.CUCKATOO, (2, 4)))


def grin_job(cycle: Cycle, edge_bits: int) -> CuckooJob:
    return CuckooJob(HEADER, edge_bits, (2, 4), 42, cycle, NonceForm.TROMP)


def test_finds_grins_proofs() -> None:
    for nonce, _, edges in CUCKAROO19:
        assert edges in hash_graph(grin_job(Cycle.CUCKAROO, 19), nonce).cycles()


def test_finds_as_many_cycles_as_grin() -> None:
    """cuckatoo.rs: "We know this nonce has 2 solutions"."""
    job = grin_job(Cycle.CUCKATOO, 15)
    cycles = hash_graph(job, 1546569).cycles()
    assert len(cycles) == 2
    assert all(verify(job, 1546569, edges) for edges in cycles)


def test_finds_the_self_tests_cycle() -> None:
    found = [graph.cycles() for graph in hash_graphs(CUCKOO_JOB, range(12))]
    assert found == [[CUCKOO_ANSWER.edges] if n == CUCKOO_ANSWER.nonce else [] for n in range(12)]


def test_verifies_large_proofs() -> None:
    assert verify(MAINNET_JOB, MAINNET_PROOF.nonce, MAINNET_PROOF.edges)
    for edge_bits, nonce, edges in CUCKATOO:
        job = grin_job(Cycle.CUCKATOO, edge_bits)
        assert verify(job, nonce, edges)
        assert not verify(job, nonce + 1, edges)
        assert not verify(job, nonce, edges[:41])
        assert not verify(job, nonce, (edges[1], edges[0], *edges[2:]))


@pytest.mark.parametrize(("cycle", "rounds"), KINDS)
def test_survivors_are_those_without_a_mate(cycle: Cycle, rounds: tuple[int, int]) -> None:
    """Two rounds once more, edge by edge."""
    graph = hash_graph(CuckooJob(bytes(32), 10, rounds, 42, cycle), 3)
    alive = list(range(1024))
    counts = [1024]
    for nodes in (graph.u.tolist(), graph.v.tolist()):
        meets = {e: [f for f in alive if nodes[f] == nodes[e] ^ cycle.pair] for e in alive}
        alive = [e for e in alive if set(meets[e]) - {e}]
        counts.append(len(alive))
    assert graph.survivors(2) == tuple(counts)


@pytest.mark.parametrize(("cycle", "rounds"), KINDS)
def test_verifiers_agree_on_damaged_proofs(cycle: Cycle, rounds: tuple[int, int]) -> None:
    """Every cycle of 100 small graphs, whole, under another nonce and with an edge changed."""
    job = CuckooJob(bytes(32), 10, rounds, 4, cycle)
    good = bad = 0
    for nonce, graph in enumerate(hash_graphs(job, range(100))):
        for edges in graph.cycles():
            for n, tried in ((nonce, edges), (nonce + 1, edges), (nonce, (*edges[:3], 1023))):
                passed = verify(job, n, tried)
                assert passed is (verify_natively(job, n, tried) is Proof.OK)
                good, bad = good + passed, bad + (not passed)
    assert good >= 10
    assert bad >= 20


def graph_of(proof_size: int, ends: list[tuple[int, int]], cycle: Cycle) -> Graph:
    u, v = np.array(ends, dtype=np.uint32).T
    return Graph(CuckooJob(bytes(32), 10, proof_size=proof_size, cycle=cycle), u, v)


def test_three_edges_between_two_nodes() -> None:
    graph = graph_of(2, [(5, 9), (1, 9), (5, 9), (5, 9)], Cycle.CUCKAROO)
    assert graph.cycles() == [(0, 2), (0, 3), (2, 3)]
    assert graph.survivors(3) == (4, 3, 3, 3)


def test_equal_edges_do_not_meet_in_cuckatoo() -> None:
    assert graph_of(2, [(5, 9), (5, 9)], Cycle.CUCKATOO).survivors(2) == (2, 0, 0)
    assert graph_of(2, [(5, 9), (5, 9), (4, 8)], Cycle.CUCKATOO).cycles() == [(0, 2), (1, 2)]


def test_a_figure_of_eight_is_two_cycles_and_no_longer_one() -> None:
    """Two 4-cycles with node u = 1 in common."""
    ends = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (1, 4), (3, 3), (3, 4)]
    assert graph_of(4, ends, Cycle.CUCKAROO).cycles() == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert graph_of(8, ends, Cycle.CUCKAROO).cycles() == []


def test_a_path_has_no_cycle() -> None:
    graph = graph_of(4, [(1, 1), (2, 1), (2, 2), (3, 2)], Cycle.CUCKAROO)
    assert graph.survivors(3) == (4, 2, 0, 0)
    assert graph.cycles() == []


def test_bad_job() -> None:
    with pytest.raises(BadArgument):
        hash_graph(CuckooJob(bytes(32), 9), 0)
