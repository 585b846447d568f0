"""Ways to search on the processors: what is offered, and that each of them is taken."""

from __future__ import annotations

import pytest

from drivers.base import Capability, CuckooJob
from drivers.cpu import library
from drivers.cpu.cuckoo import CuckooSearch
from drivers.cpu.variants import list_variants
from drivers.errors import BadArgument, NotSupported
from drivers.selftest import check
from drivers.worker import open_session

MEMORY = 1 << 30
SMALL, LARGE = 16, 24


def test_two_processors_offer_all_ways_once() -> None:
    assert list_variants(2, "avx2", SMALL, MEMORY) == [
        {},
        {"threads": 2},
        {"threads": 2, "graphs_at_once": 1},
    ]


def test_wide_vectors_have_a_rival() -> None:
    assert list_variants(1, "avx512", SMALL, MEMORY) == [{}, {"threads": 1, "isa": "avx2"}]


def test_many_processors_offer_few() -> None:
    found = list_variants(64, "avx512", LARGE, 64 << 30)
    assert found[0] == {}
    assert len(found) < 20
    assert {one["threads"] for one in found[1:]} == {32, 63, 64}
    assert len({tuple(sorted(one.items())) for one in found}) == len(found)


@pytest.mark.parametrize("at_once", [1, 2])
def test_graphs_at_once_find_the_known_cycle(at_once: int) -> None:
    search = CuckooSearch(2, MEMORY, graphs_at_once=at_once)
    assert "known cycle" in check(search, Capability.CUCKOO)
    assert len(search._solvers) == at_once
    search.close()


@pytest.mark.parametrize("at_once", [0, 3])
def test_graphs_at_once_must_fit_the_threads(at_once: int) -> None:
    with pytest.raises(BadArgument, match="1 to the threads, 2"):
        CuckooSearch(2, MEMORY, graphs_at_once=at_once)


def test_session_uses_the_instruction_set_it_is_told() -> None:
    job = CuckooJob(bytes(32), 12, proof_size=4)
    with open_session("cpu", "cpu:0", Capability.CUCKOO, threads=1) as own:
        expected = own.search(job, 0, 20, lambda: False)
    with open_session("cpu", "cpu:0", Capability.CUCKOO, threads=1, isa="baseline") as other:
        assert other.search(job, 0, 20, lambda: False) == expected
    with pytest.raises(NotSupported, match="no z80"):
        open_session("cpu", "cpu:0", Capability.CUCKOO, threads=1, isa="z80")


def test_instruction_set_is_changed_in_the_process() -> None:
    best = library.isa()
    library.use_isa("baseline")
    assert library.isa() == "baseline"
    library.use_isa(best)
    assert library.isa() == best
