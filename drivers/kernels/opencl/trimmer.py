"""Trims graphs on one OpenCL device with the kernels of ``cuckoo.cl``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
from numpy.typing import NDArray

from drivers.errors import DriverError
from drivers.kernels.graphs import BLOCK_EDGES, Cycle
from drivers.kernels.opencl.buffers import (
    LEFT_SLOTS,
    EdgeList,
    LeanBuffers,
    allocate,
    upload,
)
from drivers.kernels.opencl.plan import EDGE_BYTES, Plan
from drivers.kernels.opencl.recovery import Ends

HERE = Path(__file__).parent
SOURCES = (HERE.parent / "cuckoo_graph.h", HERE / "cuckoo.cl")
MAX_ROUNDS = 400
SLICE_BLOCKS = 1 << 18
"""Blocks hashed before a stop is heard again: 2^24 edges, milliseconds on a GPU."""
GROUP_LANES = 256
"""Work-items that share a bucket, where the device allows so many."""
SIEVE_BITS = 16
"""As in cuckoo.cl."""
MATCHES = 1 << 16
"""Room for recovered edges."""

Stop = Callable[[], bool]


class Stopped(Exception):
    """The search was told to stop within a graph."""


@dataclass(frozen=True)
class Hashing:
    """What is compiled into the kernels. ``keep_words``: cuckoo.cl says what it does."""

    cycle: Cycle
    rounds: tuple[int, int]
    keep_words: bool

    @property
    def options(self) -> list[str]:
        defined = {
            "CYCLE": self.cycle.pair,
            "COMPRESSION_ROUNDS": self.rounds[0],
            "FINALISATION_ROUNDS": self.rounds[1],
            "KEEP_WORDS": int(self.keep_words),
        }
        return ["-cl-std=CL1.2", *(f"-D{name}={value}" for name, value in defined.items())]


@dataclass(frozen=True)
class Core:
    """What trimming left of a graph."""

    ends: NDArray[np.uint32]
    """Nodes u and v of each edge, shape (edges, 2)."""
    survivors: tuple[int, ...]
    """Edges before the first round and after each."""
    lost_edges: int
    """Edges for which a bucket had no room."""


class Trimmer:
    """Buffers and kernels for graphs of one size and hashing; one call at a time."""

    def __init__(self, context: Any, plan: Plan, hashing: Hashing) -> None:
        """Raises pyopencl's errors, as every method does."""
        self.plan = plan
        self.hashing = hashing
        self._context = context
        self._queue = cl.CommandQueue(context)
        self._kernels = _build(context, hashing)
        self._lists = tuple(EdgeList.allocate(context, s) for s in (plan.near, plan.far))
        self._lean = LeanBuffers.allocate(context, plan)
        self._lanes = min(GROUP_LANES, *(self._most_lanes(name) for name in ("trim", "collect")))

    def trim(self, keys: Sequence[int], should_stop: Stop) -> Core:
        """Trim the graph of four siphash keys until the CPU can take over. Raises `Stopped`."""
        survivors = [self.plan.edges, *self._thin(keys, should_stop)]
        listed, lost = self._list(keys, should_stop)
        if self.plan.lean_rounds:
            survivors.append(listed)
        near, far = self._lists
        for number in range(self.plan.lean_rounds, MAX_ROUNDS):
            if survivors[-1] <= self.plan.tail_edges or survivors[-1] in survivors[:-2]:
                break  # No round changes what two in a row have left as it was.
            if should_stop():
                raise Stopped
            left, overflow = self._trim_round(number % 2, near, far)
            survivors.append(left)
            lost += overflow
            near, far = far, near
        return Core(self._collect(near, survivors[-1]), tuple(survivors), lost)

    def recover(
        self, keys: Sequence[int], wanted: NDArray[np.uint32], should_stop: Stop
    ) -> dict[Ends, list[int]]:
        """Numbers, ascending, of the graph's edges whose nodes are a row of ``wanted`` (edges,
        2), each row once. Raises `Stopped`."""
        places = wanted[:, 0] & np.uint32((1 << SIEVE_BITS) - 1)
        sieve = np.zeros(1 << SIEVE_BITS, np.uint8)
        sieve[places] = 1
        bits = np.packbits(sieve, bitorder="little").view(np.uint32)
        matches, size = allocate(self._context, MATCHES * 8), allocate(self._context, 4)
        self._clear(size)
        arguments = (upload(self._context, bits), upload(self._context, wanted))
        numbers = np.uint32(len(wanted)), matches, size, np.uint32(MATCHES)
        self._hash("recover", keys, (*arguments, *numbers), should_stop)
        return self._read_matches(matches, size, wanted)

    def close(self) -> None:
        """Free the device's memory."""
        buffers = [self._lean.alive, self._lean.left, *self._lean.counters]
        for edges in self._lists:
            buffers += [*edges.parts, edges.counts]
        for buffer in buffers:
            buffer.release()

    def _thin(self, keys: Sequence[int], should_stop: Stop) -> list[int]:
        """The lean rounds; edges left after each but the last, whose dead are dropped only as
        the edges are listed."""
        left = []
        for number in range(self.plan.lean_rounds):
            counted, condemned = (
                self._lean.counters[number % 2],
                self._lean.counters[1 - number % 2],
            )
            self._clear(counted)
            self._clear(self._lean.left)
            buffers = self._lean.alive, condemned, counted, self._lean.left
            arguments = np.uint32(number), *buffers, np.uint32(LEFT_SLOTS)
            self._hash("thin_edges", keys, arguments, should_stop)
            left.append(self._lean.read_left(self._queue))
        return left[1:]

    def _list(self, keys: Sequence[int], should_stop: Stop) -> tuple[int, int]:
        """Fill the first list; edges listed and lost."""
        near, rounds = self._lists[0], self.plan.lean_rounds
        for edges in self._lists:
            self._clear(edges.counts)
        condemned = self._lean.counters[(rounds + 1) % 2]
        lean = np.uint32(rounds), self._lean.alive, condemned
        self._hash("list_edges", keys, (*lean, self._low_bits, *near.arguments), should_stop)
        return near.read_counts(self._queue)

    def _trim_round(self, side: int, near: EdgeList, far: EdgeList) -> tuple[int, int]:
        counter_bytes = self.plan.counter_bytes
        numbers = np.uint32(side), self._low_bits
        counters = cl.LocalMemory(counter_bytes), np.uint32(counter_bytes // 4)
        self._run_on_buckets("trim", (*numbers, *counters, *near.arguments, *far.arguments))
        return far.read_counts(self._queue)

    def _collect(self, edges: EdgeList, count: int) -> NDArray[np.uint32]:
        core, size = allocate(self._context, count * EDGE_BYTES), allocate(self._context, 4)
        self._clear(size)
        self._run_on_buckets("collect", (*edges.arguments, core, size, np.uint32(count)))
        ends = np.empty((count, 2), np.uint32)
        if count:
            cl.enqueue_copy(self._queue, ends, core)
        return ends

    def _read_matches(
        self, matches: Any, size: Any, wanted: NDArray[np.uint32]
    ) -> dict[Ends, list[int]]:
        count = np.empty(1, np.uint32)
        cl.enqueue_copy(self._queue, count, size)
        if count[0] > MATCHES:
            raise DriverError(f"{count[0]} edges to recover are more than a graph can have")
        found = np.empty((int(count[0]), 2), np.uint32)
        if len(found):
            cl.enqueue_copy(self._queue, found, matches)
        numbers: dict[Ends, list[int]] = {}
        for edge, place in sorted(map(tuple, found.tolist())):
            u, v = wanted[place].tolist()
            numbers.setdefault((u, v), []).append(edge)
        return numbers

    def _hash(
        self, kernel: str, keys: Sequence[int], arguments: tuple[Any, ...], should_stop: Stop
    ) -> None:
        """Run a kernel with a work-item for each block of edges, a slice at a time."""
        graph = np.array(keys, np.uint64), np.uint32(self.plan.edge_bits)
        self._kernels[kernel].set_args(*graph, *arguments)
        blocks = self.plan.edges // BLOCK_EDGES
        for first in range(0, blocks, SLICE_BLOCKS):
            if should_stop():
                raise Stopped
            size = min(SLICE_BLOCKS, blocks - first)
            lanes = min(size, 64, self._most_lanes(kernel))
            cl.enqueue_nd_range_kernel(
                self._queue, self._kernels[kernel], (size,), (lanes,), (first,)
            )
            self._queue.finish()

    def _run_on_buckets(self, kernel: str, arguments: tuple[Any, ...]) -> None:
        """Run a kernel with a work-group for each bucket."""
        self._kernels[kernel].set_args(*arguments)
        size = self._lanes << self.plan.near.bucket_bits
        cl.enqueue_nd_range_kernel(self._queue, self._kernels[kernel], (size,), (self._lanes,))

    def _clear(self, buffer: Any) -> None:
        self._kernels["clear"].set_args(buffer)
        cl.enqueue_nd_range_kernel(self._queue, self._kernels["clear"], (buffer.size // 4,), None)

    def _most_lanes(self, kernel: str) -> int:
        """The largest power of two that the kernel can have in a work-group here."""
        what = cl.kernel_work_group_info.WORK_GROUP_SIZE
        device = self._context.devices[0]
        most = self._kernels[kernel].get_work_group_info(what, device)
        return 1 << int(most).bit_length() - 1

    @property
    def _low_bits(self) -> np.uint32:
        return np.uint32(self.plan.low_bits)


def _build(context: Any, hashing: Hashing) -> dict[str, Any]:
    text = "\n".join(path.read_text("utf-8") for path in SOURCES)
    program = cl.Program(context, text).build(options=hashing.options)
    return {kernel.function_name: kernel for kernel in program.all_kernels()}
