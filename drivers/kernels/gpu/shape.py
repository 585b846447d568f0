"""What a plan is for, and what may be chosen differently: numbers of buckets, threads, rounds."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from drivers.errors import BadArgument, NotSupported
from drivers.kernels.gpu.layout import (
    BLOCK_BYTES,
    HEADER_BYTES,
    MAX_HASH_THREADS,
    MAX_TRIM_THREADS,
    TILE_EDGES,
)
from drivers.kernels.graphs import BLOCK_EDGES, Cycle

#: Groups that share a unit when edges are generated, what is preferred first.
GROUPS_OF_UNIT = (2, 3, 4, 1)
GROUP_RESERVE_BYTES = 1024
"""Shared memory that the system takes for itself in each group (CUDA, from sm_80 on)."""
MAX_BUCKET_BITS = 15
MAX_TAIL_THREADS, MAX_TAIL_GROUPS = 256, 1 << 16
MAX_ROUNDS = 2048
EDGES_WORTH = 2
"""Edges a bucket and tile from which on one atomic for all of them is thought worth its cost."""
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
    hash_threads: int
    trim_threads: int
    rounds: int
    bucket_rounds: int
    aggregate_hash: bool = False
    """One global atomic a bucket and tile when edges are generated, not one an edge ..."""
    aggregate_trim: bool = False
    """... and when they are trimmed."""
    tail_threads: int = 256
    tail_groups: int = 512
    slack: float = 0.03
    """Room in a bucket beyond the edges expected there, as a share of them ..."""
    deviations: float = 8.0
    """... or so many standard deviations, where that is more."""


def choose_shape(graphs: Graphs, gpu: Gpu, **chosen: float) -> Shape:
    """A shape that suits the GPU, with what is ``chosen`` otherwise (fields of `Shape`).

    Raises `BadArgument` for a field or number there is not, and `NotSupported` where a bucket's
    counters do not fit shared memory.
    """
    if unknown := sorted(set(chosen) - {field.name for field in dataclasses.fields(Shape)}):
        raise BadArgument(f"a shape has no {', '.join(unknown)}")
    bucket_bits = int(chosen.get("bucket_bits", 0)) or _choose_buckets(graphs, gpu)
    rounds = max(MIN_ROUNDS, math.isqrt(int(3.4 * graphs.edges / EDGES_LEFT)))
    slots_bytes = 4 << bucket_bits
    aggregated = _choose_hash_threads(gpu, slots_bytes)
    aggregate_hash = aggregated * BLOCK_EDGES >= EDGES_WORTH << bucket_bits
    counters_bytes = _counters_bytes(graphs, bucket_bits)
    shape = Shape(
        bucket_bits=bucket_bits,
        hash_threads=aggregated if aggregate_hash else _choose_hash_threads(gpu, 0),
        trim_threads=512 if 2 * counters_bytes < gpu.unit_shared_bytes else MAX_TRIM_THREADS,
        rounds=rounds,
        bucket_rounds=min(int(chosen.get("rounds", rounds)), MAX_BUCKET_ROUNDS),
        aggregate_hash=aggregate_hash,
    )
    shape = dataclasses.replace(shape, aggregate_trim=_is_worth_aggregating(graphs, gpu, shape))
    return _checked(graphs, gpu, dataclasses.replace(shape, **chosen))  # type: ignore[arg-type]


def _is_worth_aggregating(graphs: Graphs, gpu: Gpu, shape: Shape) -> bool:
    """Whether a tile has several edges for each bucket, and their counts fit too."""
    aggregated = dataclasses.replace(shape, aggregate_trim=True)
    fits = trim_shared_bytes(graphs, aggregated) <= gpu.group_shared_bytes
    return fits and shape.trim_threads * TILE_EDGES >= 2 * EDGES_WORTH << shape.bucket_bits


def _checked(graphs: Graphs, gpu: Gpu, shape: Shape) -> Shape:
    within = {
        "bucket_bits": (1, min(graphs.edge_bits - 1, MAX_BUCKET_BITS)),
        "hash_threads": (1, MAX_HASH_THREADS),
        "trim_threads": (1, MAX_TRIM_THREADS),
        "tail_threads": (1, MAX_TAIL_THREADS),
        "tail_groups": (1, MAX_TAIL_GROUPS),
        "rounds": (2, MAX_ROUNDS),
        "bucket_rounds": (1, shape.rounds),
    }
    for name, (low, high) in within.items():
        if not low <= getattr(shape, name) <= high:
            raise BadArgument(f"{name} must be {low} to {high}, not {getattr(shape, name)}")
    needed = max(trim_shared_bytes(graphs, shape), hash_shared_bytes(shape))
    if needed > gpu.group_shared_bytes:
        raise NotSupported(
            f"this shape needs {needed} bytes of shared memory, and a group of this GPU has "
            f"{gpu.group_shared_bytes}"
        )
    return shape


def _choose_buckets(graphs: Graphs, gpu: Gpu) -> int:
    """Few buckets make long runs of edges, but their counters have to fit, twice if possible."""
    least = min(8, graphs.edge_bits // 2)
    room = min(gpu.group_shared_bytes - HEADER_BYTES, gpu.unit_shared_bytes // 2)
    for bucket_bits in range(least, min(graphs.edge_bits, MAX_BUCKET_BITS + 1)):
        if _counters_bytes(graphs, bucket_bits) <= room:
            return bucket_bits
    raise NotSupported(
        f"{graphs.edge_bits} edge bits need more shared memory than the "
        f"{gpu.group_shared_bytes >> 10} KiB a group of this GPU has"
    )


def _counters_bytes(graphs: Graphs, bucket_bits: int) -> int:
    nodes = graphs.edges >> bucket_bits
    return -(-nodes // (32 if graphs.cycle.pair else 16)) * 4


def _choose_hash_threads(gpu: Gpu, slots_bytes: int) -> int:
    """As many as a unit's shared memory holds blocks for, in two groups or more if possible, so
    that one hashes while another writes."""
    best = gpu.warp_threads
    most = 0
    for groups in GROUPS_OF_UNIT:
        room = min(gpu.group_shared_bytes, gpu.unit_shared_bytes // groups - GROUP_RESERVE_BYTES)
        blocks = (room - HEADER_BYTES - slots_bytes) // BLOCK_BYTES
        threads = min(blocks // gpu.warp_threads * gpu.warp_threads, MAX_HASH_THREADS)
        if threads > 0 and groups * threads > most:
            best, most = threads, groups * threads
    return best


def trim_shared_bytes(graphs: Graphs, shape: Shape) -> int:
    slots = 4 << shape.bucket_bits if shape.aggregate_trim else 0
    return HEADER_BYTES + _counters_bytes(graphs, shape.bucket_bits) + slots


def hash_shared_bytes(shape: Shape) -> int:
    slots = 4 << shape.bucket_bits if shape.aggregate_hash else 0
    return HEADER_BYTES + shape.hash_threads * BLOCK_BYTES + slots
