"""A plan's memory on a device. Sizes are the plan's; nothing is initialised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyopencl as cl
from numpy.typing import NDArray

from drivers.kernels.opencl.plan import MAX_PARTS, ListShape, Plan

LEFT_SLOTS = 256
"""Counts of survivors of a lean round, so that blocks need not wait for each other."""


def allocate(context: Any, size_bytes: int) -> Any:
    return cl.Buffer(context, cl.mem_flags.READ_WRITE, max(4, size_bytes))


def upload(context: Any, values: NDArray[Any]) -> Any:
    flags = cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR
    return cl.Buffer(context, flags, hostbuf=np.ascontiguousarray(values))


@dataclass(frozen=True)
class EdgeList:
    shape: ListShape
    parts: tuple[Any, ...]
    counts: Any

    @classmethod
    def allocate(cls, context: Any, shape: ListShape) -> EdgeList:
        parts = tuple(allocate(context, shape.part_bytes) for _ in range(shape.parts))
        return cls(shape, parts, allocate(context, 4 << shape.bucket_bits))

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The kernels' LIST."""
        unused = (self.parts[0],) * (MAX_PARTS - len(self.parts))
        numbers = np.uint32(self.shape.capacity), np.uint32(self.shape.part_bits)
        return (*self.parts, *unused, self.counts, *numbers)

    def read_counts(self, queue: Any) -> tuple[int, int]:
        """Edges listed, and edges lost for lack of room."""
        counts = np.empty(1 << self.shape.bucket_bits, np.uint32)
        cl.enqueue_copy(queue, counts, self.counts)
        listed = np.minimum(counts, self.shape.capacity)
        return int(listed.sum(dtype=np.uint64)), int((counts - listed).sum(dtype=np.uint64))


@dataclass(frozen=True)
class LeanBuffers:
    alive: Any
    """A bit an edge."""
    counters: tuple[Any, Any]
    """Of the side counted in even rounds, and in odd ones."""
    left: Any

    @classmethod
    def allocate(cls, context: Any, plan: Plan) -> LeanBuffers:
        """Without lean rounds they are the least that a kernel can be given."""
        sizes = (plan.edges // 8, plan.lean_counter_bytes) if plan.lean_rounds else (8, 4)
        alive, even, odd = (allocate(context, s) for s in (sizes[0], sizes[1], sizes[1]))
        return cls(alive, (even, odd), allocate(context, 4 * LEFT_SLOTS))

    def read_left(self, queue: Any) -> int:
        left = np.empty(LEFT_SLOTS, np.uint32)
        cl.enqueue_copy(queue, left, self.left)
        return int(left.sum(dtype=np.uint64))
