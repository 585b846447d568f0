"""The native solver and verifier against a slow reference and the reference node's vectors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers import proofs
from drivers.base import CuckooJob
from drivers.cpu.cuckoo import (
    CuckooSearch,
    Method,
    Proof,
    Solver,
    needed_bytes,
    share_out,
    siphash_block,
    verify,
)
from drivers.errors import BadArgument, DriverError
from drivers.kernels.graphs import Cycle
from drivers.kernels.reference import hash_graphs
from drivers.selftest import MAINNET_JOB, MAINNET_PROOF
from tests.support.isas import skip_without

ROOT = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("FARMCTL_VECTORS", ROOT.parent / "shared/data/cortex"))
MEMORY = 1 << 30
HEADER = bytes(range(32))


def read_vectors(name: str) -> Any:
    if not (VECTORS / name).is_file():
        pytest.skip(f"vectors {name} are not at {VECTORS}")
    return json.loads((VECTORS / name).read_text())


def job_of(header40: str) -> tuple[CuckooJob, int]:
    header = bytes.fromhex(header40.removeprefix("0x"))
    return CuckooJob(header[:32], 30), int.from_bytes(header[32:], "little")


@pytest.mark.parametrize("cycle", Cycle)
@pytest.mark.parametrize(
    ("edge_bits", "proof_size", "rounds", "graphs"),
    [
        (10, 2, (4, 8), 200),
        (10, 4, (4, 8), 200),
        (10, 6, (2, 4), 200),
        (11, 8, (4, 8), 200),
        (12, 12, (2, 4), 100),
        (13, 42, (4, 8), 100),
        (14, 42, (2, 4), 84),
    ],
)
def test_same_cycles_as_reference(
    edge_bits: int, proof_size: int, rounds: tuple[int, int], graphs: int, cycle: Cycle
) -> None:
    job = CuckooJob(HEADER, edge_bits, rounds, proof_size, cycle)
    solver = Solver(edge_bits, MEMORY, cycle)
    total = 0
    for nonce, graph in enumerate(hash_graphs(job, range(graphs))):
        expected = graph.cycles()
        found = solver.solve(job, nonce)
        assert found is not None
        assert [s.edges for s in found] == expected, f"nonce {nonce}"
        survivors = solver.survivors()
        assert survivors == graph.survivors(len(survivors) - 1), f"nonce {nonce}"
        total += len(expected)
    assert total >= graphs / proof_size / 4, "too few cycles to mean anything"


@pytest.mark.parametrize("cycle", Cycle)
def test_finds_cycles_in_edges_of_another_device(cycle: Cycle) -> None:
    job = CuckooJob(HEADER, 11, proof_size=6, cycle=cycle)
    total = 0
    for nonce, graph in enumerate(hash_graphs(job, range(30))):
        found = proofs.find_cycles(np.stack((graph.u, graph.v), axis=1), cycle, 6)
        expected = graph.cycles()
        assert sorted(map(tuple, found.tolist())) == expected, f"nonce {nonce}"
        total += len(expected)
    assert total


@pytest.mark.parametrize("cycle", Cycle)
def test_threads_share_a_graph(cycle: Cycle) -> None:
    job = CuckooJob(HEADER, 17, (2, 4), 4, cycle)
    one, three = Solver(17, MEMORY, cycle), Solver(17, MEMORY, cycle, threads=3)
    cycles = 0
    for nonce in range(20):
        found = one.solve(job, nonce)
        assert found == three.solve(job, nonce)
        assert one.survivors() == three.survivors()
        cycles += len(found or [])
    assert cycles, "too few cycles to mean anything"


def test_large_graphs_are_shared_and_small_ones_not() -> None:
    def needed(threads: int) -> int:
        return needed_bytes(Method.MEAN, 29, Cycle.CUCKAROO, threads) or 0

    assert share_out(4, 19, Cycle.CUCKAROO, MEMORY) == (4, 1)
    assert share_out(4, 29, Cycle.CUCKAROO, needed(4)) == (1, 4)
    assert share_out(16, 29, Cycle.CUCKAROO, 2 * needed(8)) == (2, 8)
    assert share_out(16, 29, Cycle.CUCKAROO, needed(8)) == (1, 8)
    assert share_out(4, 29, Cycle.CUCKAROO, needed(4) - 1) == (1, 4), "lean"


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_leaves_the_same(isa: str) -> None:
    skip_without(isa)
    script = (
        "import sys; from drivers.base import CuckooJob; from drivers.cpu import cuckoo, library\n"
        "assert library.isa() == sys.argv[1]\n"
        "solver = cuckoo.Solver(20, 1 << 30)\n"
        "found = solver.solve(CuckooJob(bytes(range(32)), 20, (2, 4), 4), 7)\n"
        "print(solver.survivors(), [s.edges for s in found])"
    )
    command = [sys.executable, "-c", script, isa]
    environment = os.environ | {"FARMCPU_ISA": isa, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    solver = Solver(20, MEMORY)
    found = solver.solve(CuckooJob(HEADER, 20, (2, 4), 4), 7) or []
    assert done.stdout.strip() == f"{solver.survivors()} {[s.edges for s in found]}"


def test_survivors_follow_the_theory() -> None:
    solver = Solver(18, MEMORY)
    solver.solve(CuckooJob(HEADER, 18), 0)
    shares = [count / 2**18 for count in solver.survivors()[:5]]
    assert shares == pytest.approx([1, 0.632, 0.296, 0.175, 0.117], rel=0.03)


def test_memory_too_small() -> None:
    with pytest.raises(DriverError, match="allow more memory"):
        Solver(24, 1 << 20)


def test_accepts_main_network_proof() -> None:
    assert verify(MAINNET_JOB, MAINNET_PROOF.nonce, MAINNET_PROOF.edges) is Proof.OK


@pytest.mark.parametrize("position", range(42))
def test_refuses_changed_proof(position: int) -> None:
    edges = list(MAINNET_PROOF.edges)
    edges[position] ^= 1
    answer = verify(MAINNET_JOB, MAINNET_PROOF.nonce, edges)
    assert answer in (Proof.NON_MATCHING, Proof.TOO_SMALL)


def test_refuses_wrong_lengths_and_ranges() -> None:
    edges = MAINNET_PROOF.edges
    assert verify(MAINNET_JOB, 0, edges[:41]) is Proof.WRONG_LENGTH
    assert verify(MAINNET_JOB, 0, (-1, *edges[1:])) is Proof.TOO_BIG
    assert verify(MAINNET_JOB, 0, (*edges[:41], 1 << 30)) is Proof.TOO_BIG
    assert verify(MAINNET_JOB, 0, (edges[1], edges[0], *edges[2:])) is Proof.TOO_SMALL


def test_two_short_cycles_are_no_proof() -> None:
    """Two 4-cycles together pass the sums but not the walk."""
    solver, pairs = Solver(10, MEMORY), CuckooJob(HEADER, 10, proof_size=4)
    for nonce in range(400):
        found = solver.solve(pairs, nonce) or []
        disjoint = [s for s in found[1:] if not set(s.edges) & set(found[0].edges)]
        if disjoint:
            edges = sorted(found[0].edges + disjoint[0].edges)
            answer = verify(CuckooJob(HEADER, 10, proof_size=8), nonce, edges)
            assert answer in (Proof.SHORT_CYCLE, Proof.BRANCH)
            return
    pytest.fail("no graph with two 4-cycles")


def test_verifier_agrees_with_reference_node() -> None:
    vectors = read_vectors("pow_vectors.json")
    for case in vectors["positive"]:
        job = CuckooJob(bytes.fromhex(case["seal_hash"][2:]), 30)
        assert verify(job, case["nonce_uint64"], case["edges"]).name == case["expect"]
    for case in vectors["negative"]["cases"]:
        assert verify(*job_of(case["header40"]), case["edges"]) == case["expect_code"], case["name"]


def test_siphash_agrees_with_reference_node() -> None:
    for case in read_vectors("siphash_vectors.json")["cases"]:
        job, nonce = job_of(case["header40"])
        for word in case["sipblock"]:
            block = siphash_block(job, nonce, word["edge"])
            assert block[word["edge"] % 64] == int(word["value"], 16)


def test_search_counts_graphs_and_uses_threads() -> None:
    job = CuckooJob(HEADER, 14)
    one, two = CuckooSearch(1, MEMORY), CuckooSearch(2, MEMORY)
    assert one.search(job, 5, 33, lambda: False) == two.search(job, 5, 33, lambda: False)
    assert one.search(job, 0, 5, lambda: True) == (0, [])
    one.close()
    two.close()


def test_stop_ends_a_running_graph() -> None:
    search = CuckooSearch(1, 4 << 30)
    timer = threading.Timer(0.1, search.stop)
    timer.start()
    started = time.monotonic()
    done, _ = search.search(CuckooJob(HEADER, 24), 0, 1000, lambda: False)
    assert done < 1000
    assert time.monotonic() - started < 5
    search.close()


@pytest.mark.parametrize(
    "job",
    [
        CuckooJob(HEADER, 9),
        CuckooJob(HEADER, 33),
        CuckooJob(HEADER[:31], 12),
        CuckooJob(HEADER, 12, proof_size=3),
        CuckooJob(HEADER, 12, proof_size=66),
        CuckooJob(HEADER, 12, rounds=(0, 4)),
    ],
)
def test_bad_jobs_are_refused(job: CuckooJob) -> None:
    with pytest.raises(BadArgument):
        CuckooSearch(1, MEMORY).search(job, 0, 1, lambda: False)


def test_a_nice_search_leaves_the_process_as_it_is() -> None:
    search = CuckooSearch(1, MEMORY, niceness=3)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert search._pool is not None
    inside = search._pool.submit(os.getpriority, os.PRIO_PROCESS, 0).result()
    assert inside == min(19, before + 3) and os.getpriority(os.PRIO_PROCESS, 0) == before
    assert search.search(CuckooJob(HEADER, 12), 0, 3, lambda: False)[0] == 3
    search.close()


def test_released_memory_is_taken_again() -> None:
    search = CuckooSearch(1, MEMORY)
    job = CuckooJob(HEADER, 12)
    first = search.search(job, 0, 42, lambda: False)
    search.release()
    assert search.search(job, 0, 42, lambda: False) == first
    search.close()
