"""Plans by memory: what fits is chosen, and no list passes what a device allows."""

from __future__ import annotations

import pytest

from drivers.errors import OutOfMemory
from drivers.kernels.graphs import Cycle
from drivers.kernels.opencl.plan import MAX_PARTS, Memory, make_plan

GIB = 1 << 30
CARD_LOCAL = 32 << 10


def card(gib: float, share_at_once: float = 0.25) -> Memory:
    """Nine tenths of a card's memory; OpenCL promises allocations of a quarter of it."""
    return Memory(int(0.9 * gib * GIB), int(share_at_once * gib * GIB), CARD_LOCAL)


@pytest.mark.parametrize(
    ("gib", "lean_rounds"), [(3, 4), (4, 3), (6, 2), (8, 2), (11, 1), (16, 0), (80, 0)]
)
def test_cortex_fits_cards_of_every_size(gib: int, lean_rounds: int) -> None:
    memory = card(gib)
    plan = make_plan(30, Cycle.CUCKAROO, memory)
    assert plan.lean_rounds == lean_rounds
    assert plan.bytes <= memory.total
    assert plan.near.parts <= MAX_PARTS
    assert plan.near.part_bytes <= memory.allocation
    assert plan.counter_bytes <= memory.local


@pytest.mark.parametrize("edge_bits", range(10, 33))
@pytest.mark.parametrize("cycle", Cycle)
def test_lists_hold_what_rounds_leave(edge_bits: int, cycle: Cycle) -> None:
    plan = make_plan(edge_bits, cycle, card(96))
    assert plan.near.capacity << plan.near.bucket_bits >= plan.edges
    assert plan.far.capacity << plan.far.bucket_bits >= 0.632 * plan.edges
    assert plan.near.part_bytes * plan.near.parts <= 1.3 * max(plan.edges * 8, 1 << 18)
    assert plan.low_bits + plan.near.bucket_bits == edge_bits
    assert plan.counter_bytes <= CARD_LOCAL


def test_small_local_memory_makes_more_buckets() -> None:
    wide = make_plan(30, Cycle.CUCKAROO, Memory(80 * GIB, 80 * GIB, 64 << 10))
    narrow = make_plan(30, Cycle.CUCKAROO, Memory(80 * GIB, 80 * GIB, 16 << 10))
    assert (wide.near.bucket_bits, narrow.near.bucket_bits) == (12, 14)


def test_small_allocations_split_the_lists() -> None:
    plan = make_plan(24, Cycle.CUCKAROO, Memory(GIB, 50 << 20, CARD_LOCAL))
    assert plan.lean_rounds == 0
    assert plan.near.parts == 4
    assert plan.near.part_bytes <= 50 << 20


def test_says_what_would_fit() -> None:
    with pytest.raises(OutOfMemory, match=r"do not fit in 921 MiB.*29 edge bits would fit"):
        make_plan(30, Cycle.CUCKAROO, card(1))
    with pytest.raises(OutOfMemory, match="no graph would fit"):
        make_plan(12, Cycle.CUCKAROO, Memory(1000, 1000, CARD_LOCAL))
