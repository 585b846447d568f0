"""The machine's floor and the solver's time by phase."""

from __future__ import annotations

import time
from ctypes import byref, c_uint64
from functools import reduce
from operator import xor

import numpy as np
import pytest

from drivers.base import CuckooJob
from drivers.cpu import floor, library
from drivers.cpu.cuckoo import Solver, graph_of, siphash_block

JOB = CuckooJob(bytes(32), 12)


def test_hashing_for_the_floor_hashes_every_edge() -> None:
    mixed = library.load().farmcpu_floor_hash(byref(graph_of(JOB, 5)), 1 << 12)
    words = (word for edge in range(0, 1 << 12, 64) for word in siphash_block(JOB, 5, edge))
    assert mixed == reduce(xor, words)


def test_memory_is_stored_and_read_whole() -> None:
    words = np.zeros(1000, np.uint64)
    whole = (c_uint64 * 992).from_buffer(words[(-words.ctypes.data // 8) % 8 :])
    library.load().farmcpu_floor_store(whole, 992, 3)
    assert set(whole) == {3}
    whole[991] = 10
    assert library.load().farmcpu_floor_read(whole, 992) == 991 * 3 + 10


def test_floor_is_hashing_plus_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "TOUCHED_BYTES", 8 << 20)
    monkeypatch.setattr(floor, "HASHED_EDGES", 1 << 16)
    monkeypatch.setattr(floor, "REPEATS", 2)
    found = floor.measure(JOB)
    assert 0.1 < found.hash_nanoseconds < 1000
    assert found.seconds(13) == pytest.approx(2 * found.seconds(12))
    assert found.seconds(12) > found.hashing_seconds(12) > 0


def test_phases_sum_to_the_time_of_the_graph() -> None:
    solver = Solver(18, 1 << 28)
    started = time.perf_counter()
    solver.solve(CuckooJob(bytes(32), 18), 0)
    seconds = time.perf_counter() - started
    phases = solver.phases()
    assert list(phases)[:2] == ["generation", "round 1"]
    assert phases["generation"] > 0
    assert phases["round 1"] > 0
    assert 0.3 * seconds < sum(phases.values()) <= seconds
