"""From cycles of nodes back to numbers of edges.

Trimming keeps the nodes of edges, not their numbers. The numbers of a cycle's edges are found by
hashing the graph again; where several edges join the same nodes, each choice is a cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, combinations, islice, product

Ends = tuple[int, int]
"""An edge's nodes u and v."""
MAX_CHOICES = 256
"""Cycles taken from one cycle of nodes; in graphs of use there is hardly ever a second."""


def choose_edges(cycle: list[Ends], numbers: Mapping[Ends, list[int]]) -> Iterator[tuple[int, ...]]:
    """Each cycle of edges, ascending, that runs along ``cycle``; none if an edge is missing."""
    choices = [combinations(numbers.get(ends, ()), times) for ends, times in Counter(cycle).items()]
    for edges in islice(product(*choices), MAX_CHOICES):
        yield tuple(sorted(chain.from_iterable(edges)))
