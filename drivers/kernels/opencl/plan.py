"""How a graph's edges lie in a device's memory: pure arithmetic, no device needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from drivers.errors import OutOfMemory
from drivers.kernels.graphs import MIN_EDGE_BITS, Cycle

#: Edges left after each round, as a share of all (measured on random graphs, any size).
LEFT = (1.0, 0.632, 0.296, 0.175, 0.117, 0.084, 0.063, 0.049, 0.040, 0.033)
MAX_LEAN_ROUNDS = len(LEFT) - 2
EDGE_BYTES = 8
MAX_PARTS = 4
"""Allocations that a list may lie in (cuckoo.cl)."""
MAX_BUCKET_BITS = 12
"""Enough groups for any GPU; more buckets only where a bucket's counters need it."""
MIN_BUCKET_NODE_BITS = 12
COUNTER_BITS = {Cycle.CUCKAROO: 2, Cycle.CUCKATOO: 1}
SPREAD = 8
"""Standard deviations of room that a bucket has above the mean."""
MIN_TAIL_EDGES = 128
TAIL_SHIFT = 12
"""The CPU takes over once so few edges are left as 2^-12 of all."""


@dataclass(frozen=True)
class Memory:
    """What the device has. All in bytes."""

    total: int
    """What may be used of its memory."""
    allocation: int
    """Most that one allocation may hold."""
    local: int
    """Shared memory of a work-group."""


@dataclass(frozen=True)
class ListShape:
    """A list of edges in 2^bucket_bits buckets; each of its parts, one allocation, holds
    2^part_bits of them."""

    bucket_bits: int
    part_bits: int
    capacity: int
    """Edges that a bucket has room for."""

    @property
    def parts(self) -> int:
        return 1 << self.bucket_bits - self.part_bits

    @property
    def part_bytes(self) -> int:
        return self.capacity * EDGE_BYTES << self.part_bits

    @property
    def bytes(self) -> int:
        return self.parts * self.part_bytes + (4 << self.bucket_bits)

    @classmethod
    def fit(cls, edge_bits: int, bucket_bits: int, share: float, allocation: int) -> Self | None:
        """A list for a share of all edges, or None if its parts would be too many."""
        mean = 2.0 ** (edge_bits - bucket_bits) * share
        # Edges that survived come in clusters of about three.
        room = math.ceil(mean + SPREAD * math.sqrt(3 * mean)) + MIN_TAIL_EDGES
        capacity = min(room, 1 << edge_bits)
        part_bits = min(bucket_bits, int(math.log2(max(1, allocation // (capacity * EDGE_BYTES)))))
        shape = cls(bucket_bits, part_bits, capacity)
        return shape if shape.parts <= MAX_PARTS and shape.part_bytes <= allocation else None


@dataclass(frozen=True)
class Plan:
    """``lean_rounds`` rounds run on bitmaps; what they leave is listed in ``near``, and the
    rounds on lists go from one to the other and back."""

    edge_bits: int
    cycle: Cycle
    lean_rounds: int
    near: ListShape
    far: ListShape
    tail_edges: int
    """With no more than so many edges left, the CPU takes over."""

    @property
    def edges(self) -> int:
        return 1 << self.edge_bits

    @property
    def low_bits(self) -> int:
        """Bits of a node within its bucket."""
        return self.edge_bits - self.near.bucket_bits

    @property
    def counter_bytes(self) -> int:
        """Local counters of a bucket."""
        return _counter_bytes(self.low_bits, self.cycle)

    @property
    def lean_counter_bytes(self) -> int:
        """Counters of one side's nodes, of which the lean rounds need two."""
        return _counter_bytes(self.edge_bits, self.cycle)

    @property
    def bytes(self) -> int:
        lean = self.edges // 8 + 2 * self.lean_counter_bytes if self.lean_rounds else 0
        return self.near.bytes + self.far.bytes + lean + self.tail_edges * EDGE_BYTES


def make_plan(edge_bits: int, cycle: Cycle, memory: Memory, bucket_bits: int | None = None) -> Plan:
    """The plan with the fewest lean rounds that fits. Raises `OutOfMemory` and says what would
    fit."""
    plan = _find_plan(edge_bits, cycle, memory, bucket_bits)
    if plan is not None:
        return plan
    fitting = (
        bits
        for bits in range(edge_bits - 1, MIN_EDGE_BITS - 1, -1)
        if _find_plan(bits, cycle, memory, None)
    )
    largest = next(fitting, None)
    limit = f"{memory.total >> 20} MiB (at most {memory.allocation >> 20} MiB at once)"
    advice = f"{largest} edge bits would fit" if largest else "no graph would fit"
    raise OutOfMemory(f"{edge_bits} edge bits do not fit in {limit} of the device; {advice}")


def _find_plan(
    edge_bits: int, cycle: Cycle, memory: Memory, bucket_bits: int | None
) -> Plan | None:
    least = edge_bits - _most_node_bits(cycle, memory.local)
    usual = min(MAX_BUCKET_BITS, edge_bits - MIN_BUCKET_NODE_BITS)
    wanted = usual if bucket_bits is None else min(bucket_bits, edge_bits)
    bits = max(0, least, wanted)
    plans = (_plan_with(edge_bits, cycle, memory, bits, r) for r in range(MAX_LEAN_ROUNDS + 1))
    return next((plan for plan in plans if plan), None)


def _plan_with(
    edge_bits: int, cycle: Cycle, memory: Memory, bucket_bits: int, lean_rounds: int
) -> Plan | None:
    shares = LEFT[lean_rounds : lean_rounds + 2]
    near, far = (ListShape.fit(edge_bits, bucket_bits, s, memory.allocation) for s in shares)
    if near is None or far is None:
        return None
    tail_edges = max(MIN_TAIL_EDGES, 1 << edge_bits >> TAIL_SHIFT)
    plan = Plan(edge_bits, cycle, lean_rounds, near, far, tail_edges)
    if lean_rounds and plan.lean_counter_bytes > memory.allocation:
        return None
    fits = plan.bytes <= memory.total and plan.counter_bytes <= memory.local
    return plan if fits else None


def _counter_bytes(node_bits: int, cycle: Cycle) -> int:
    return max(4, (COUNTER_BITS[cycle] << node_bits) // 8)


def _most_node_bits(cycle: Cycle, local_bytes: int) -> int:
    """The most bits of a node for which a bucket's counters fit."""
    bits = 0
    while _counter_bytes(bits + 1, cycle) <= local_bytes:
        bits += 1
    return bits
