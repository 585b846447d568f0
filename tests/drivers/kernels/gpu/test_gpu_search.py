"""The search session of GPUs, over the kernels run on the host."""

from __future__ import annotations

import ctypes
import dataclasses
import logging
from collections.abc import Callable

import numpy as np
import pytest
from host_kernels import HostLauncher
from numpy.typing import NDArray

from drivers.base import Capability, CuckooJob, CuckooSolution
from drivers.errors import BadArgument, DeviceLost, NotSupported, OutOfMemory, WrongAnswer
from drivers.kernels.gpu.plan import Launch
from drivers.kernels.gpu.search import GpuSearch, Options
from drivers.kernels.gpu.shape import Gpu
from drivers.kernels.graphs import Cycle, NonceForm
from drivers.kernels.reference import hash_graphs
from drivers.selftest import CUCKOO_ANSWER, CUCKOO_GRAPHS, CUCKOO_JOB, check

GPU = Gpu(1 << 28, 48 << 10, 96 << 10)
HEADER = bytes(range(32))


SHAPE = {
    **{"hash_threads": 1, "trim_threads": 1, "tail_threads": 1, "tail_groups": 2},
    "bucket_rounds": 4,
}


def open_search(
    kernels: ctypes.CDLL,
    launcher: Callable[[ctypes.CDLL], HostLauncher] = HostLauncher,
    gpu: Gpu = GPU,
    options: Options | None = None,
) -> GpuSearch:
    options = dataclasses.replace(options or Options(), shape=SHAPE)
    return GpuSearch(lambda: launcher(kernels), gpu, options)


def never() -> bool:
    return False


@pytest.mark.parametrize("proof_size", [2, 4, 6, 10, 42])
@pytest.mark.parametrize("cycle", list(Cycle))
def test_same_cycles_in_the_same_order(kernels: ctypes.CDLL, cycle: Cycle, proof_size: int) -> None:
    rounds = (4, 8) if cycle is Cycle.CUCKAROO and proof_size != 10 else (2, 4)
    job = CuckooJob(HEADER, 11, rounds, proof_size, cycle)
    session = open_search(kernels)
    done, found = session.search(job, 7, 60, never)
    nonces = range(7, 67)
    graphs = zip(nonces, hash_graphs(job, nonces), strict=True)
    expected = [CuckooSolution(nonce, edges) for nonce, graph in graphs for edges in graph.cycles()]
    assert done == 60
    assert found == expected
    assert session.edges_lost == 0
    assert expected or proof_size == 42


def test_passes_the_self_test(kernels: ctypes.CDLL) -> None:
    session = open_search(kernels)
    assert "known cycle" in check(session, Capability.CUCKOO)
    session.close()
    assert session.search(CUCKOO_JOB, 0, 1, never) == (0, [])


def test_cycles_are_told_at_once_and_memory_is_released(kernels: ctypes.CDLL) -> None:
    told: list[CuckooSolution] = []
    launchers: list[HostLauncher] = []

    def launch(library: ctypes.CDLL) -> HostLauncher:
        launchers.append(HostLauncher(library))
        return launchers[-1]

    session = open_search(kernels, launch)
    searched = session.search(CUCKOO_JOB, 0, CUCKOO_GRAPHS, never, told.append)
    assert searched == (CUCKOO_GRAPHS, [CUCKOO_ANSWER]) and told == [CUCKOO_ANSWER]
    opened = len(launchers)
    session.release()
    assert session.search(CUCKOO_JOB, 8, 1, never) == (1, [CUCKOO_ANSWER])
    assert len(launchers) == 2 * opened, "the memory was given back and taken again"


def test_one_graph_at_once_and_with_rests(kernels: ctypes.CDLL) -> None:
    session = open_search(kernels, options=Options(graphs_at_once=1, yield_seconds=1e-4))
    done, found = session.search(CUCKOO_JOB, 0, CUCKOO_GRAPHS, never)
    assert (done, found) == (CUCKOO_GRAPHS, [CUCKOO_ANSWER])


def test_graphs_of_another_size_in_turn(kernels: ctypes.CDLL) -> None:
    session = open_search(kernels)
    for edge_bits in (10, 12, 10):
        job = CuckooJob(HEADER, edge_bits, proof_size=4)
        _, found = session.search(job, 0, 10, never)
        cycles = [graph.cycles() for graph in hash_graphs(job, range(10))]
        assert [solution.edges for solution in found] == [c for graph in cycles for c in graph]


def test_stops_between_graphs(kernels: ctypes.CDLL) -> None:
    asked = iter([False, False, True])
    session = open_search(kernels)
    job = CuckooJob(HEADER, 10)
    done, _ = session.search(job, 0, 100, lambda: next(asked))
    assert done == 2
    assert session.search(job, 0, 3, never)[0] == 3, "what was in flight is not in the way"


def test_stops_within_a_round(kernels: ctypes.CDLL) -> None:
    """A stop before round 3 begins makes it and the later rounds do nothing."""
    launcher = HostLauncher(kernels)
    options = Options(graphs_at_once=1, shape=SHAPE)
    session = GpuSearch(lambda: launcher, GPU, options)

    def stop_in_time(launch: Launch) -> None:
        if launch.kernel == "trim" and launcher.launched.count("trim") % 4 == 2:
            session.stop()

    launcher.before_launch = stop_in_time
    job = CuckooJob(HEADER, 12)
    assert session.search(job, 0, 5, never) == (0, [])
    session.stop(False)
    survivors = session.survivors(job, 0).survivors
    assert survivors[2] > 0
    assert not any(survivors[3:])
    assert session.search(job, 0, 5, never)[0] == 0, "stopped until told otherwise"


def test_lost_edges_are_told(kernels: ctypes.CDLL, caplog: pytest.LogCaptureFixture) -> None:
    tight = {**SHAPE, "slack": 0.0, "deviations": 0.0}
    session = GpuSearch(lambda: HostLauncher(kernels), GPU, Options(shape=tight))
    with caplog.at_level(logging.WARNING):
        session.search(CuckooJob(HEADER, 12), 0, 2, never)
    assert session.edges_lost > 0
    assert "no room for" in caplog.text


class Failing(HostLauncher):
    """Its device falls off the bus at the fifth reading."""

    reads = 0

    def read(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        self.reads += 1
        if self.reads >= 5:
            raise DeviceLost("the GPU fell off the bus")
        return super().read(address, size_bytes)


def test_a_device_lost_in_a_graph_ends_the_search(kernels: ctypes.CDLL) -> None:
    session = open_search(kernels, Failing)
    with pytest.raises(DeviceLost, match="fell off"):
        session.search(CuckooJob(HEADER, 12), 0, 100, never)
    session.close()


class Wrong(HostLauncher):
    """Its memory turns bits over: what is left of a graph is not of the graph."""

    def read(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        found = super().read(address, size_bytes)
        if size_bytes > 1000:
            found.view(np.uint64)[:] ^= np.uint64(1 << 40 | 1 << 8)
        return found


def test_a_wrong_answer_is_never_a_solution(kernels: ctypes.CDLL) -> None:
    session = open_search(kernels, Wrong)
    with pytest.raises(WrongAnswer):
        session.search(CuckooJob(HEADER, 13, proof_size=4), 0, 100, never)


def test_says_what_memory_it_needs(kernels: ctypes.CDLL) -> None:
    small = dataclasses.replace(GPU, memory_bytes=1 << 20)
    with pytest.raises(OutOfMemory, match=r"20 edge bits need .* MiB"):
        open_search(kernels, gpu=small).search(CuckooJob(HEADER, 20), 0, 1, never)
    with pytest.raises(OutOfMemory, match=r"8 graphs at once need .* would fit"):
        search = open_search(kernels, gpu=small, options=Options(graphs_at_once=8))
        search.search(CuckooJob(HEADER, 14), 0, 1, never)
    taken = open_search(kernels, lambda library: HostLauncher(library, memory_bytes=1 << 12))
    with pytest.raises(OutOfMemory, match="not free"):
        taken.search(CuckooJob(HEADER, 14), 0, 1, never)


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (CuckooJob(HEADER, 33), BadArgument),
        (CuckooJob(HEADER[:31], 12), BadArgument),
        (CuckooJob(HEADER, 12, (3, 3)), NotSupported),
        (CuckooJob(b"x" * 80, 12, (2, 4), nonce_form=NonceForm.TROMP), None),
    ],
)
def test_jobs_are_checked(
    kernels: ctypes.CDLL, job: CuckooJob, error: type[Exception] | None
) -> None:
    session = open_search(kernels)
    if error is None:
        assert session.search(job, 0, 1, never)[0] == 1
        return
    with pytest.raises(error):
        session.search(job, 0, 1, never)


def test_options_are_checked(kernels: ctypes.CDLL) -> None:
    with pytest.raises(BadArgument, match="at once"):
        open_search(kernels, options=Options(graphs_at_once=99))
    job = CuckooJob(HEADER, 12)
    for wrong in ({"threads": 3}, {"bucket_bits": 30}, {"rounds": 4, "bucket_rounds": 5}):
        with pytest.raises(BadArgument):
            GpuSearch(lambda: HostLauncher(kernels), GPU, Options(shape=wrong)).search(
                job, 0, 1, never
            )


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("edge_bits", [10, 13, 16])
def test_two_thousand_graphs(kernels: ctypes.CDLL, edge_bits: int) -> None:
    """Survivors of every round and all cycles, over many small graphs."""
    session = open_search(kernels)
    for member in (((4, 8), Cycle.CUCKAROO), ((2, 4), Cycle.CUCKAROO), ((2, 4), Cycle.CUCKATOO)):
        job = CuckooJob(HEADER, edge_bits, member[0], 6, member[1])
        nonces = range(2000 if edge_bits < 16 else 100)
        _, found = session.search(job, 0, len(nonces), never)
        expected = []
        for nonce, graph in zip(nonces, hash_graphs(job, nonces), strict=True):
            expected += [CuckooSolution(nonce, edges) for edges in graph.cycles()]
            trimmed = session.survivors(job, nonce).survivors
            assert trimmed == graph.survivors(len(trimmed) - 1)
        assert found == expected
