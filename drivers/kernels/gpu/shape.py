"""What a plan is for, and what may be chosen differently: numbers of buckets, threads, rounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from drivers.errors import NotSupported
from drivers.kernels.gpu.layout import (
    BLOCK_BYTES,
    HEADER_BYTES,
    MAX_HASH_THREADS,
    MAX_TRIM_THREADS,
)
from drivers.kernels.graphs import Cycle

MAX_GROUPS_OF_UNIT = 4
GROUP_RESERVE_BYTES = 1024
"""Shared memory that the system takes for itself in each group (CUDA, from sm_80 on)."""
MAX_BUCKET_BITS = 15
#: Edges that may be left to the processor, and rounds in buckets before the tail takes over.
EDGES_LEFT = 1 << 14
MAX_BUCKET_ROUNDS, MIN_ROUNDS = 58, 8


@dataclass(frozen=True)
class Graphs:
    """The graphs that a plan is for."""

    edge_bits: int
    rounds: tuple[int, int]
    cycle: Cycle

    @property
    def edges(self) -> int:
        return 1 << self.edge_bits

    @property
    def kernel(self) -> str:
        """The end of the names of the kernels that hash."""
        return f"{self.cycle}_{self.rounds[0]}_{self.rounds[1]}"


KERNELS = ("cuckaroo_4_8", "cuckaroo_2_4", "cuckatoo_2_4")
"""Members of the family that the GPU kernels are compiled for."""


@dataclass(frozen=True)
class Gpu:
    """What a plan may use of a GPU."""

    memory_bytes: int
    group_shared_bytes: int
    """Shared memory that one group of threads may have."""
    unit_shared_bytes: int
    """Shared memory of one multiprocessor or compute unit."""
    warp_threads: int = 32


@dataclass(frozen=True)
class Shape:
    """What may be chosen differently; `choose_shape` has the defaults."""

    bucket_bits: int
    aggregate: bool
    hash_threads: int
    trim_threads: int
    rounds: int
    bucket_rounds: int
    tail_threads: int = 256
    tail_groups: int = 512
    slack: float = 0.03
    """Room in a bucket beyond the edges expected there, as a share of them ..."""
    deviations: float = 8.0
    """... or so many standard deviations, where that is more."""


def choose_shape(graphs: Graphs, gpu: Gpu) -> Shape:
    """Raises `NotSupported` where a bucket's counters do not fit shared memory."""
    bucket_bits, aggregate = _choose_buckets(graphs, gpu)
    rounds = max(MIN_ROUNDS, math.isqrt(int(3.4 * graphs.edges / EDGES_LEFT)))
    return Shape(
        bucket_bits=bucket_bits,
        aggregate=aggregate,
        hash_threads=_choose_hash_threads(gpu, (4 << bucket_bits) if aggregate else 0),
        trim_threads=MAX_TRIM_THREADS,
        rounds=rounds,
        bucket_rounds=min(rounds, MAX_BUCKET_ROUNDS),
    )


def _choose_buckets(graphs: Graphs, gpu: Gpu) -> tuple[int, bool]:
    """Few buckets make long runs of edges, but their counters have to fit."""
    least = min(8, graphs.edge_bits // 2)
    for aggregate in (True, False):
        for bucket_bits in range(least, min(graphs.edge_bits, MAX_BUCKET_BITS + 1)):
            shape = Shape(bucket_bits, aggregate, 32, 32, 1, 1)
            needed = max(trim_shared_bytes(graphs, shape), hash_shared_bytes(shape))
            if needed <= min(gpu.group_shared_bytes, gpu.unit_shared_bytes // 2):
                return bucket_bits, aggregate
    raise NotSupported(
        f"{graphs.edge_bits} edge bits need more shared memory than the "
        f"{gpu.group_shared_bytes >> 10} KiB a group of this GPU has"
    )


def _choose_hash_threads(gpu: Gpu, slots_bytes: int) -> int:
    """As many as a unit's shared memory holds blocks for, in as many groups as possible, so that
    one hashes while another writes."""
    best = gpu.warp_threads
    most = 0
    for groups in range(1, MAX_GROUPS_OF_UNIT + 1):
        room = min(gpu.group_shared_bytes, gpu.unit_shared_bytes // groups - GROUP_RESERVE_BYTES)
        blocks = (room - HEADER_BYTES - slots_bytes) // BLOCK_BYTES
        threads = min(blocks // gpu.warp_threads * gpu.warp_threads, MAX_HASH_THREADS)
        if threads > 0 and groups * threads >= most:
            best, most = threads, groups * threads
    return best


def trim_shared_bytes(graphs: Graphs, shape: Shape) -> int:
    nodes = graphs.edges >> shape.bucket_bits
    counters = -(-nodes // (32 if graphs.cycle.pair else 16)) * 4
    return HEADER_BYTES + counters + (4 << shape.bucket_bits if shape.aggregate else 0)


def hash_shared_bytes(shape: Shape) -> int:
    slots = 4 << shape.bucket_bits if shape.aggregate else 0
    return HEADER_BYTES + shape.hash_threads * BLOCK_BYTES + slots
