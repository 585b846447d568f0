"""Plans for real cards: they fit, and no two lists in use at a time lie on each other."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from drivers.errors import NotSupported, OutOfMemory
from drivers.kernels.gpu.arena import Arena
from drivers.kernels.gpu.layout import MAX_HASH_THREADS
from drivers.kernels.gpu.plan import Plan
from drivers.kernels.gpu.planner import least_memory_bytes, plan, share_left
from drivers.kernels.gpu.shape import Gpu, Graphs, choose_shape
from drivers.kernels.graphs import VARIANTS, Cycle

GIB = 1 << 30
CORTEX, GRIN, CUCKATOO31, CUCKATOO32 = (
    Graphs(VARIANTS[name].edge_bits, VARIANTS[name].rounds, VARIANTS[name].cycle)
    for name in ("cuckaroo30-ctx", "cuckaroo29", "cuckatoo31", "cuckatoo32")
)
#: What a card leaves free of its memory, and its shared memory a group and a multiprocessor.
PASCAL_8 = Gpu(int(7.4 * GIB), 48 << 10, 96 << 10)
PASCAL_11 = Gpu(int(10.4 * GIB), 48 << 10, 96 << 10)
TURING_11 = Gpu(int(10.4 * GIB), 64 << 10, 64 << 10)
AMPERE_8 = Gpu(int(7.4 * GIB), 99 << 10, 100 << 10)
ADA_16 = Gpu(int(15.2 * GIB), 99 << 10, 100 << 10)
RDNA_16 = Gpu(int(15.2 * GIB), 64 << 10, 64 << 10, warp_threads=64)
HOPPER = Gpu(130 * GIB, 227 << 10, 228 << 10)
CARDS = {
    "Pascal, 8 GiB": PASCAL_8,
    "Pascal, 11 GiB": PASCAL_11,
    "Turing, 11 GiB": TURING_11,
    "Ampere, 8 GiB": AMPERE_8,
    "Ada, 16 GiB": ADA_16,
    "RDNA, 16 GiB": RDNA_16,
    "Hopper, 141 GB": HOPPER,
}


def check(found: Plan, gpu: Gpu) -> None:
    """Walk the launches: each reads what is there, and writes where nothing else is."""
    assert found.memory_bytes <= gpu.memory_bytes
    live: dict[tuple[int, int], tuple[int, int]] = {}
    for launch in found.launches:
        if launch.kernel == "collect":
            break
        if not launch.kernel.startswith(("generate", "trim")):
            continue
        step = found.steps[launch.step]
        reading = [
            (segment, bucket)
            for segment in range(step.input, step.input + step.inputs)
            for bucket in range(step.first_bucket, step.first_bucket + step.buckets)
        ]
        assert set(reading) <= set(live)
        live |= _places(found, step.output)
        _assert_apart(live, found)
        for key in reading:
            del live[key]
    for launch in (*found.launches, found.recovery):
        assert launch.shared_bytes <= gpu.group_shared_bytes
        assert launch.groups >= 1


def _places(found: Plan, number: int) -> dict[tuple[int, int], tuple[int, int]]:
    segment = found.segments[number]
    buckets = range(segment.first, segment.first + segment.buckets)
    return {(number, bucket): segment.place(bucket, 1) for bucket in buckets}


def _assert_apart(live: dict[tuple[int, int], tuple[int, int]], found: Plan) -> None:
    ordered = sorted(live.values())
    assert all(a[1] <= b[0] for a, b in pairwise(ordered))
    assert ordered[0][0] >= 0
    assert ordered[-1][1] * 8 <= found.places["job"]


@pytest.mark.parametrize("card", CARDS)
def test_cortex_and_grin_fit_every_card(card: str) -> None:
    for graphs in (CORTEX, GRIN):
        found = plan(graphs, CARDS[card])
        assert found.memory_bytes <= CARDS[card].memory_bytes


def test_less_memory_takes_more_passes_and_parts() -> None:
    ample, tight, least = (plan(CORTEX, gpu) for gpu in (HOPPER, PASCAL_11, PASCAL_8))
    assert (ample.hash_passes, tight.hash_passes, least.hash_passes) == (1, 1, 2)
    parts = [sum(s.round == 1 for s in p.steps) for p in (ample, tight, least)]
    assert parts == sorted(set(parts))


@pytest.mark.parametrize("edge_bits", [10, 12, 15])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.45])
def test_lists_in_use_never_overlap(edge_bits: int, share: float) -> None:
    graphs = Graphs(edge_bits, (4, 8), Cycle.CUCKAROO)
    gpu = Gpu(1 << 30, 48 << 10, 96 << 10)
    shape = choose_shape(graphs, gpu, bucket_bits=4, slack=0.0, deviations=2.0)
    ample = plan(graphs, gpu, shape).memory_bytes
    floor = least_memory_bytes(graphs, shape)
    gpu = dataclasses.replace(gpu, memory_bytes=max(int(ample * share), floor))
    check(plan(graphs, gpu, shape), gpu)


def test_cuckatoo_where_it_fits() -> None:
    assert plan(CUCKATOO31, ADA_16).hash_passes == 2
    assert plan(CUCKATOO32, HOPPER).hash_passes == 1
    with pytest.raises(OutOfMemory, match=r"31 edge bits need 1\d{4} MiB .* only 7577 MiB"):
        plan(CUCKATOO31, AMPERE_8)


def test_what_is_said_to_suffice_does() -> None:
    shape = choose_shape(CORTEX, ADA_16)
    least = least_memory_bytes(CORTEX, shape)
    assert 6 * GIB < least < 8 * GIB
    assert plan(CORTEX, dataclasses.replace(ADA_16, memory_bytes=least)).memory_bytes <= least


def test_shapes_suit_the_card() -> None:
    for gpu in CARDS.values():
        shape = choose_shape(CORTEX, gpu)
        assert shape.hash_threads % gpu.warp_threads == 0
        assert 32 <= shape.hash_threads <= MAX_HASH_THREADS
    assert choose_shape(CORTEX, HOPPER).aggregate_hash
    assert choose_shape(CORTEX, HOPPER).bucket_bits < choose_shape(CORTEX, TURING_11).bucket_bits


def test_refuses_what_it_has_no_kernels_for() -> None:
    with pytest.raises(NotSupported, match="cuckaroo_3_3"):
        plan(Graphs(20, (3, 3), Cycle.CUCKAROO), HOPPER)
    with pytest.raises(NotSupported, match="shared memory"):
        choose_shape(CORTEX, Gpu(16 * GIB, 8 << 10, 16 << 10))


def test_share_left_only_falls() -> None:
    shares = [share_left(number) for number in range(100)]
    assert shares == sorted(shares, reverse=True)


def test_arena_takes_the_first_gap() -> None:
    arena = Arena(100)
    for size in (30, 20, 40):
        arena, _ = arena.allocate(size) or (arena, -1)
    assert arena.allocate(11) is None
    arena, begin = arena.release(30, 50).allocate(15) or (arena, -1)
    assert (begin, arena.peak, arena.taken) == (30, 90, ((0, 30), (30, 45), (50, 90)))
    assert arena.release(10, 60).taken == ((0, 10), (60, 90))
