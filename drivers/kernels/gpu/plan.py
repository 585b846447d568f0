"""What a plan for trimming graphs on one GPU is: which launches, over which lists, where."""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.kernels.gpu.shape import Graphs, Shape

#: Edges whose numbers can be asked for at once, and numbers that can be answered.
MAX_WANTED = 64 * 64
MAX_FOUND = 4 * MAX_WANTED


@dataclass(frozen=True)
class Launch:
    """One launch: ``groups`` of ``threads``, with ``shared_bytes`` each, of step ``step``."""

    kernel: str
    groups: int
    threads: int
    shared_bytes: int
    step: int = 0


@dataclass(frozen=True)
class Step:
    """See ``Step`` in cuckoo_mean.h."""

    round: int
    side: int
    first_bucket: int
    buckets: int
    input: int = 0
    inputs: int = 0
    output: int = 0
    aggregate: bool = False


@dataclass(frozen=True)
class Segment:
    """``offset`` is where bucket 0 would lie; only ``buckets`` from ``first`` on do."""

    offset: int
    capacity: int
    first: int
    buckets: int

    def place(self, first: int, buckets: int) -> tuple[int, int]:
        """Where those buckets lie in the arena."""
        begin = self.offset + first * self.capacity
        return begin, begin + buckets * self.capacity


@dataclass(frozen=True)
class Plan:
    """Launches and lists of one graph. Places are in bytes from the start of one allocation of
    ``memory_bytes``, except those of segments, which are in edges."""

    graphs: Graphs
    shape: Shape
    segments: tuple[Segment, ...]
    steps: tuple[Step, ...]
    launches: tuple[Launch, ...]
    recovery: Launch
    hash_passes: int
    bitmaps: int
    lists: int
    list_capacity: int
    places: dict[str, int] = field(hash=False)
    memory_bytes: int

    @property
    def counter_words(self) -> int:
        """32-bit words to clear for each graph."""
        return (self.places["segments"] - self.places["counters"]) // 4

    @property
    def bitmap_words(self) -> int:
        return bitmap_words(self.graphs)

    @property
    def last_list(self) -> int:
        """Which of the three lists of the tail holds what is left."""
        return (self.shape.rounds - self.shape.bucket_rounds) % 3


def bitmap_words(graphs: Graphs) -> int:
    """32-bit words of the tail's counters: 2 bits a node, or 1 where nodes meet in pairs."""
    return max(1, graphs.edges // (32 if graphs.cycle.pair else 16))
