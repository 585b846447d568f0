"""How a graph is trimmed within the memory of one GPU.

Everything here is arithmetic; `Trimmer` carries it out. Where one buffer for all edges and one
for what the first round leaves do not both fit, a round is cut in parts, each of which frees the
room that the next one's output takes; below that the graph is hashed in several passes, of which
each generates a part of the buckets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from drivers.errors import NotSupported, OutOfMemory
from drivers.kernels.gpu.arena import Arena
from drivers.kernels.gpu.layout import (
    BLOCK_BYTES,
    EDGE_BYTES,
    FOUND,
    HEADER_BYTES,
    JOB,
    SEGMENT,
    STEP,
    SURVIVORS,
    TAIL_SHARED_BYTES,
)
from drivers.kernels.gpu.plan import (
    MAX_FOUND,
    MAX_WANTED,
    Launch,
    Plan,
    Segment,
    Step,
    bitmap_words,
)
from drivers.kernels.gpu.shape import (
    KERNELS,
    Gpu,
    Graphs,
    Shape,
    choose_shape,
    hash_shared_bytes,
    trim_shared_bytes,
)
from drivers.kernels.graphs import BLOCK_EDGES

#: Edges left at the start of each round, as a share of all (measured on Cuckaroo, any size).
LEFT = (1.0, 0.632, 0.296, 0.175, 0.117, 0.084, 0.063, 0.049, 0.040)
LATER = 4.0
"""Edges left after round k, later: at most this divided by k² (3.4 on average; the fewer edges are
left, the more that varies from graph to graph)."""
MAX_CUTS, MAX_PASSES = 16, 4
ALIGNMENT_BYTES = 256


def share_left(rounds: int) -> float:
    """Edges left after so many rounds, as a share of all."""
    return LEFT[rounds] if rounds < len(LEFT) else min(LEFT[-1], LATER / rounds**2)


def plan(graphs: Graphs, gpu: Gpu, shape: Shape | None = None) -> Plan:
    """The way with the fewest passes, then the fewest cuts, that fits the memory.

    Raises `OutOfMemory` where none does, saying how much would, and `NotSupported` for graphs
    that there are no kernels for or whose buckets do not fit shared memory.
    """
    if graphs.kernel not in KERNELS:
        raise NotSupported(f"no GPU kernels for {graphs.kernel}; there are {', '.join(KERNELS)}")
    shape = shape or choose_shape(graphs, gpu)
    for way in _ways(shape):
        if found := _Builder(graphs, shape, way, gpu.memory_bytes).build():
            return found
    needed = least_memory_bytes(graphs, shape)
    raise OutOfMemory(
        f"{graphs.edge_bits} edge bits need {needed >> 20} MiB of the GPU's memory, and only "
        f"{gpu.memory_bytes >> 20} MiB may be used; allow more or choose smaller graphs"
    )


def least_memory_bytes(graphs: Graphs, shape: Shape) -> int:
    """The least memory that a plan of this shape can be had with, to 1/64 of what is ample."""
    ample = _Builder(graphs, shape, _Way(1, 0), 1 << 62).build()
    assert ample, "everything fits 2^62 bytes"
    unit = max(1, ample.memory_bytes // 64)
    for memory_bytes in range(unit, ample.memory_bytes, unit):
        if any(_Builder(graphs, shape, way, memory_bytes).build() for way in _ways(shape)):
            return memory_bytes
    return ample.memory_bytes


@dataclass(frozen=True)
class _Way:
    """Something to try: how often to hash, and room for the counts of how many more lists than
    there are without cuts."""

    passes: int
    spare_rows: int


def _ways(shape: Shape) -> Iterator[_Way]:
    passes = 1
    while passes <= min(MAX_PASSES, 1 << shape.bucket_bits):
        for spare_rows in (0, MAX_CUTS * (passes + 2)):
            yield _Way(passes, spare_rows)
        passes *= 2


class _Builder:
    """One try at a plan."""

    def __init__(self, graphs: Graphs, shape: Shape, way: _Way, memory_bytes: int) -> None:
        self._graphs, self._shape, self._passes = graphs, shape, way.passes
        self._memory_bytes = memory_bytes
        self._buckets = 1 << shape.bucket_bits
        self._segments: list[Segment] = []
        self._steps: list[Step] = []
        self._launches: list[Launch] = []
        rows = 2 * way.passes + shape.bucket_rounds - 1 + way.spare_rows
        steps = rows + 1 + shape.rounds - shape.bucket_rounds
        self._arena = Arena(0)
        beside = self._places(rows, steps)["end"]
        self._arena = Arena((memory_bytes - beside) // EDGE_BYTES)

    def build(self) -> Plan | None:
        self._launch("clear_counts", self._shape.tail_groups, self._shape.tail_threads)
        inputs = self._first_round()
        for number in range(2, self._shape.bucket_rounds + 1):
            if inputs is not None:
                inputs = self._round(number, inputs)
        return None if inputs is None else self._tail(inputs)

    def _first_round(self) -> range | None:
        """Generate and trim, pass by pass. Returns which segments hold the edges left."""
        outputs: list[int] = []
        for number in range(self._passes):
            generated = self._generate(number)
            if generated is None or (trimmed := self._round(1, generated)) is None:
                return None
            outputs += trimmed
        return self._in_a_row(outputs)

    def _generate(self, number: int) -> range | None:
        buckets = self._buckets // self._passes
        output = self._allocate(self._graphs.edges / self._buckets, number * buckets, buckets)
        if output is None:
            return None
        threads = self._shape.hash_threads
        groups = -(-self._graphs.edges // (BLOCK_EDGES * threads))
        aggregate = self._shape.aggregate_hash
        step = Step(0, 0, number * buckets, buckets, output=output, aggregate=aggregate)
        kernel = f"generate_{self._graphs.kernel}"
        self._launch(kernel, groups, threads, hash_shared_bytes(self._shape), step)
        return range(output, output + 1)

    def _round(self, number: int, inputs: range) -> range | None:
        """Trim in as few parts as the memory lets. Returns which segments hold the rest."""
        arena = self._arena
        lengths = len(self._segments), len(self._steps), len(self._launches)
        cuts = 1
        while cuts <= min(MAX_CUTS, self._segments[inputs.start].buckets):
            if (outputs := self._cut_round(number, inputs, cuts)) is not None:
                return outputs
            self._arena = arena
            del self._segments[lengths[0] :]
            del self._steps[lengths[1] :]
            del self._launches[lengths[2] :]
            cuts *= 2
        return None

    def _cut_round(self, number: int, inputs: range, cuts: int) -> range | None:
        whole = self._segments[inputs.start]
        buckets = whole.buckets // cuts
        share = share_left(number) * buckets / self._buckets
        outputs = []
        for cut in range(cuts):
            first = whole.first + cut * buckets
            output = self._allocate(self._graphs.edges * share / self._buckets, 0, self._buckets)
            if output is None:
                return None
            outputs.append(output)
            step = Step(
                *(number, (number - 1) % 2, first, buckets, inputs.start, len(inputs), output),
                aggregate=self._shape.aggregate_trim,
            )
            shared_bytes = trim_shared_bytes(self._graphs, self._shape)
            self._launch("trim", buckets, self._shape.trim_threads, shared_bytes, step)
            for segment in inputs:
                self._arena = self._arena.release(*self._segments[segment].place(first, buckets))
        return range(outputs[0], outputs[-1] + 1)

    def _in_a_row(self, outputs: list[int]) -> range:
        """Number the segments of several passes one after another, so that one range of them is
        the next round's input: those generated stand between them now."""
        order = [n for n in range(len(self._segments)) if n not in outputs] + outputs
        place = {old: new for new, old in enumerate(order)}
        self._segments = [self._segments[old] for old in order]
        self._steps = [
            replace(s, input=place[s.input] if s.inputs else 0, output=place[s.output])
            for s in self._steps
        ]
        return range(len(order) - len(outputs), len(order))

    def _tail(self, inputs: range) -> Plan | None:
        shape, graphs = self._shape, self._graphs
        capacity = self._capacity(1.5 * graphs.edges * share_left(shape.bucket_rounds)) + 1024
        bitmaps = self._place(-(-3 * bitmap_words(graphs) * 4 // EDGE_BYTES))
        lists = self._place(3 * capacity)
        if bitmaps is None or lists is None:
            return None
        threads = shape.tail_threads
        self._launch("clear_bitmaps", shape.tail_groups, threads)
        number = shape.bucket_rounds
        step = Step(number, number % 2, 0, self._buckets, inputs.start, len(inputs))
        self._launch("collect", self._buckets, threads, TAIL_SHARED_BYTES, step)
        for index in range(shape.rounds - number):
            step = Step(number + 1 + index, (number + index) % 2, 0, 0, index)
            groups = min(shape.tail_groups, -(-capacity // threads))
            self._launch("tail", groups, threads, TAIL_SHARED_BYTES, step)
        return self._finish(bitmaps * EDGE_BYTES, lists * EDGE_BYTES, capacity)

    def _finish(self, bitmaps: int, lists: int, list_capacity: int) -> Plan | None:
        places = self._places(len(self._segments), len(self._steps))
        if places["end"] > self._memory_bytes:
            return None
        threads = self._shape.hash_threads
        recovery = Launch(
            f"recover_{self._graphs.kernel}",
            -(-self._graphs.edges // (BLOCK_EDGES * threads)),
            threads,
            HEADER_BYTES + threads * BLOCK_BYTES,
        )
        return Plan(
            graphs=self._graphs,
            shape=self._shape,
            segments=tuple(self._segments),
            steps=tuple(self._steps),
            launches=tuple(self._launches),
            recovery=recovery,
            hash_passes=self._passes,
            bitmaps=bitmaps,
            lists=lists,
            list_capacity=list_capacity,
            places=places,
            memory_bytes=places["end"],
        )

    def _places(self, rows: int, steps: int) -> dict[str, int]:
        """Where each part begins: the arena, then everything small."""
        sizes = {
            "arena": self._arena.peak * EDGE_BYTES,
            "job": JOB.itemsize,
            "counters": (SURVIVORS + self._shape.rounds + 1) * 8,
            "counts": rows * self._buckets * 4,
            "segments": rows * SEGMENT.itemsize,
            "steps": steps * STEP.itemsize,
            "wanted": MAX_WANTED * 8,
            "found": MAX_FOUND * FOUND.itemsize,
            "end": 0,
        }
        places, at = {}, 0
        for name, size in sizes.items():
            places[name] = at
            at += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return places

    def _capacity(self, expected: float) -> int:
        """Room for so many edges and some more, in whole sectors of 32 bytes."""
        deviation = math.sqrt(expected) + 4  # also where hardly any are expected
        spare = max(self._shape.slack * expected, self._shape.deviations * deviation)
        return math.ceil((expected + spare) / 4) * 4

    def _allocate(self, expected: float, first: int, buckets: int) -> int | None:
        """Number of a new segment with room for ``expected`` edges in each of its buckets."""
        capacity = self._capacity(expected)
        if (begin := self._place(buckets * capacity)) is None:
            return None
        offset = begin - first * capacity
        self._segments.append(Segment(offset, capacity, first, buckets))
        return len(self._segments) - 1

    def _place(self, edges: int) -> int | None:
        if (found := self._arena.allocate(edges)) is None:
            return None
        self._arena, begin = found
        return begin

    def _launch(
        self, kernel: str, groups: int, threads: int, shared: int = 0, step: Step | None = None
    ) -> None:
        self._launches.append(Launch(kernel, groups, threads, shared, len(self._steps)))
        if step is not None:
            self._steps.append(step)
